# SPDX-License-Identifier: MIT
"""The shape of `healthchecks` in a forwarding table's source: for all tables, for one, and for one backend.

Each level contains the keys that differ from the level above.
"""

from collections.abc import Mapping
from typing import Annotated, Any

from glb.config import kinds
from glb.config.github_object import GitHubObject
from glb.config.health import (
    DEFAULT_HOLD_SHARE,
    DEFAULT_STATUSES,
    HealthCheckPolicy,
    HealthChecks,
    Initial,
    StatusRange,
)

Count = Annotated[int, kinds.whole(1, 1000)]
Milliseconds = Annotated[int, kinds.whole(1, 3_600_000)]
Port = Annotated[int, kinds.PORT]


class PolicySource(GitHubObject):
    """The keys of each level. A key that is not given has the value of the level above."""

    interval_ms: Milliseconds | None = None
    timeout_ms: Milliseconds | None = None
    trigger: Count | None = None
    rise: Count | None = None
    fall: Count | None = None
    jitter: Annotated[float, kinds.number(0, 0.5)] | None = None
    slow_interval_ms: Milliseconds | None = None
    initial: Annotated[Initial, kinds.one_of(Initial)] | None = None

    def said(self) -> dict[str, Any]:
        """The fields of HealthCheckPolicy that this level sets. `trigger` is GitHub's key for both counts."""
        keys = ("interval_ms", "timeout_ms", "rise", "fall", "jitter", "slow_interval_ms", "initial")
        counts = {} if self.trigger is None else {"rise": self.trigger, "fall": self.trigger}
        return counts | {key: value for key in keys if (value := getattr(self, key)) is not None}


class HealthCheckDefaultsSource(PolicySource):
    """`healthchecks` of the whole file, or of a table."""

    hold_share: Annotated[float, kinds.number(0, 1)] | None = None


class HealthChecksSource(PolicySource):
    """`healthchecks` of a backend: its checks, and keys that differ from the table's."""

    http: Port | None = None
    http_uri: Annotated[str, kinds.URI_PATH] | None = None
    tcp: Port | None = None
    gue: Port | None = None
    gue_size: Annotated[int, kinds.PACKET_SIZE] | None = None
    fou: Port | None = None
    https: Port | None = None
    https_verify: Annotated[bool, kinds.BOOLEAN] = False
    http_host: Annotated[str, kinds.HOST] | None = None
    http_status: Annotated[tuple[StatusRange, ...], kinds.STATUSES] = DEFAULT_STATUSES
    vip_tcp: Port | None = None
    vip_http: Port | None = None

    def to_model(self) -> HealthChecks:
        return HealthChecks(
            http=self.http,
            http_uri=self.http_uri,
            tcp=self.tcp,
            gue=self.gue,
            gue_size=self.gue_size,
            fou=self.fou,
            https=self.https,
            https_verify=self.https_verify,
            http_host=self.http_host,
            http_status=self.http_status,
            vip_tcp=self.vip_tcp,
            vip_http=self.vip_http,
        )


def policy(*levels: Mapping[str, Any]) -> HealthCheckPolicy:
    """The policy that results from the levels, the outermost first."""
    return HealthCheckPolicy(**{key: value for level in levels for key, value in level.items()})


def hold_share(*levels: HealthCheckDefaultsSource) -> float:
    """The hold_share of the innermost level that sets one."""
    said = [level.hold_share for level in levels if level.hold_share is not None]
    return said[-1] if said else DEFAULT_HOLD_SHARE
