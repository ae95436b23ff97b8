# SPDX-License-Identifier: MIT
"""Who may use a control socket: root everything; two groups, one to read and one to change."""

import grp
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from glb.control.peer import Peer, peer_credentials
from glb.errors import ControlError

CHANGE_GROUP = "glb-admin"
VIEW_GROUP = "glb"
_READS = ("GET", "HEAD")
_ROOT = 0


@dataclass(frozen=True, slots=True)
class Access:
    """The group ids whose members may change, and whose members may read. Root, and the daemon's own user, may both."""

    changers: frozenset[int] = frozenset()
    viewers: frozenset[int] = frozenset()

    @classmethod
    def of_groups(cls, change: str | None, view: str | None) -> "Access":
        """The groups of these names. None: glb-admin and glb, if the host has them.

        Raises ControlError if a group that was named does not exist.
        """
        return cls(_group_ids(change, CHANGE_GROUP), _group_ids(view, VIEW_GROUP))

    @property
    def mode(self) -> int:
        """The mode of the socket. A socket has one group, so with groups everyone may connect, and each request is
        checked."""
        return 0o666 if self.changers or self.viewers else 0o600

    def allows(self, peer: Peer, method: str) -> bool:
        """Whether the process at the other end may send a request of this HTTP method."""
        if peer.uid in (_ROOT, os.geteuid()) or peer.groups & self.changers:
            return True
        return method in _READS and bool(peer.groups & self.viewers)

    @web.middleware
    async def check(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse a request, before its body is read, if its sender may not make it."""
        peer = peer_credentials(request)
        if peer is None or not self.allows(peer, request.method):
            raise web.HTTPForbidden(reason=_REFUSALS[request.method in _READS])
        return await handler(request)


_REFUSALS = {
    True: f"permission denied: root and the members of the groups {VIEW_GROUP} and {CHANGE_GROUP} may read",
    False: f"permission denied: root and the members of the group {CHANGE_GROUP} may change something",
}


def _group_ids(name: str | None, default: str) -> frozenset[int]:
    try:
        return frozenset({grp.getgrnam(name or default).gr_gid})
    except KeyError:
        if name is None:
            return frozenset()
        raise ControlError(f"there is no group {name}") from None
