# SPDX-License-Identifier: MIT
"""A capture: as long as it lasts, a twin that tells of packets stands in the place of each attached program."""

import contextlib
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Protocol, TypeVar

from glb.capture.place import Place
from glb.capture.records import NANOSECONDS, Reader, Visit
from glb.capture.wish import Wish, packed
from glb.datapath import libbpf
from glb.datapath.inspection import open_attached
from glb.datapath.maps import Map, Rings
from glb.datapath.twin import Twin, load_twins
from glb.datapath.verdicts import verdicts_of
from glb.errors import CaptureError

_LEASE_SECONDS = 5  # after which the twin of a watcher that died falls silent
_POLL_SECONDS = 0.2
_KEY = 0


class Capture:
    """Watches attached datapaths within a `with` block; no packet is lost at its beginning or end.

    Two captures of one interface follow one another: the later takes the earlier's place, which ends.
    """

    def __init__(self, interfaces: Sequence[str], wish: Wish, show: Callable[[Visit], None]) -> None:
        """show: is called with each visit, in `poll`. Raises DatapathError, CaptureError."""
        if not interfaces:
            raise CaptureError("no datapath is attached on this host: there is nothing to capture")
        self.interfaces = tuple(interfaces)
        with contextlib.ExitStack() as stack:
            places = [_owned(stack, Place(interface)) for interface in interfaces]  # before it is looked at what runs
            originals = [_owned(stack, open_attached(interface)) for interface in interfaces]
            twins = [_owned(stack, twin) for twin in load_twins(originals, {"CAPTURE": libbpf.possible_cpus()})]
            twin_of = {twin.original: twin for twin in twins}
            self._watches = [
                _Watch(place, twin_of[original], wish) for place, original in zip(places, originals, strict=True)
            ]
            self._rings = _owned(stack, Rings([(watch.ring, _hand_on(watch.reader, show)) for watch in self._watches]))
            for watch in self._watches:
                stack.enter_context(watch)
            for watch in sorted(self._watches, key=lambda watch: watch.is_first):
                watch.renew()
            self._stack = stack.pop_all()

    def __enter__(self) -> "Capture":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def poll(self) -> None:
        """Show what has come; waits for a moment at most. To be called again and again.

        Raises CaptureError if another program has taken a twin's place.
        """
        for watch in self._watches:
            watch.renew()
        self._rings.poll(_POLL_SECONDS)

    def lost(self) -> int:
        """Visits that were to be shown, and for which the ring had no room."""
        return sum(watch.lost() for watch in self._watches)


def _hand_on(reader: Reader, show: Callable[[Visit], None]) -> Callable[[bytes], None]:
    return lambda raw: show(reader.read(raw))


class _Closable(Protocol):
    def close(self) -> None: ...


C = TypeVar("C", bound=_Closable)


def _owned(stack: contextlib.ExitStack, thing: C) -> C:
    """To be closed with the stack."""
    stack.callback(thing.close)
    return thing


class _Watch:
    """One interface's twin, in the program's place within the `with` block.

    It is silent until it is told the wish: when all twins are there, those that packets come to first as the last, so
    that each packet is followed to its end.
    """

    def __init__(self, place: Place, twin: Twin, wish: Wish) -> None:
        self._place = place
        self._twin = twin
        self._wish = wish
        self.reader = Reader(place.interface, twin.original.name, self._visits.value["record"])
        self.ring = twin.maps["capture_ring"].fd
        self.is_first = twin.original.name == "director"

    def __enter__(self) -> "_Watch":
        self._place.put(self._twin)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._place.put_back(self._twin)

    def renew(self) -> None:
        if not self._place.holds(self._twin):
            raise CaptureError(
                f"{self._place.interface}: the capture has ended: the daemon has detached its program or put one in, "
                "or another capture has begun"
            )
        self._write_wish()

    def lost(self) -> int:
        return sum(int(self._visits[cpu]["lost"]) for cpu in range(libbpf.possible_cpus()))

    @property
    def _visits(self) -> Map:
        return self._twin.maps["capture_visit"]

    def _write_wish(self) -> None:
        """With a lease from now on: the twin of a watcher that has died tells nothing more."""
        table = self._twin.maps["capture_wish"]
        until = time.monotonic_ns() + _LEASE_SECONDS * NANOSECONDS
        table[_KEY] = packed(self._wish, table.value, verdicts_of(self._twin.original.name), until)
