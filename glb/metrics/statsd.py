# SPDX-License-Identifier: MIT
"""The counters of GitHub's glb-director under their original names, for existing dashboards.

Names, tags and interval are those of its XDP engine (glb-director-xdp): DogStatsD counts to 127.0.0.1, which contain
the increase since the previous ones. `encapsulated_bytes` counts whole frames, including the tunnel's headers (but not
the hops of a second row, with `alt_hash_fields`).
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence

from glb.errors import GlbError
from glb.metrics.sample import Sample, read_sample
from glb.waiting import wait_for_any

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0
_NAMESPACE = "glb.director"
_ENGINE = "glb_engine:xdp"
_HEADERS = 14 + 20 + 8 + 8  # Ethernet, IPv4, UDP, GUE with the first word of private data
_HOP = 4
_SENT = ("encapsulated", "redirected")
_INTERNAL_ERRORS = {
    "ErrorTable": "drop_no_state",
    "ErrorSecret": None,
    "ErrorHashConfig": None,
    "ErrorMissingRow": None,
    "ErrorCreatingSpace": "drop_no_headroom",
    "ErrorMissingGatewayMAC": "drop_no_next_hop",
    "ErrorMissingSourceAddress": None,
}
_MATCHED = (
    *_SENT,
    "answered_echo",
    "answered_too_big",
    "drop_martian",
    "drop_ttl_zero",
    "drop_no_next_hop",
    "drop_no_route",
    "drop_too_big",
    "drop_answer_limit",
    "drop_no_headroom",
)
_NO_MATCHING_BIND = ("pass_no_bind", "pass_fragment", "pass_other_host")

Counts = Mapping[tuple[str, str], int]
"""Counts by name and additional tag ("" if there is none)."""


def counts(samples: Sequence[Sample]) -> Counts:
    """A daemon's counters under the original names. A packet of no other result counts as UnknownFormat."""
    packets = {name: sum(sample.packets.get(name, 0) for sample in samples) for name in _names(samples)}
    processed = sum(packets.values())
    matched, unmatched = (sum(packets.get(name, 0) for name in names) for names in (_MATCHED, _NO_MATCHING_BIND))
    errors = {
        ("packets.internal_errors", f"error:{error}"): packets.get(verdict, 0) if verdict else 0
        for error, verdict in _INTERNAL_ERRORS.items()
    }
    return {
        ("packets.processed", ""): processed,
        ("packets.encapsulated", ""): sum(packets.get(name, 0) for name in _SENT),
        ("packets.encapsulated_bytes", ""): sum(_frame_bytes(samples)),
        ("packets.results", "result:UnknownFormat"): processed - matched - unmatched,
        ("packets.results", "result:NoMatchingBind"): unmatched,
        ("packets.results", "result:Matched"): matched,
        **errors,
    }


def lines(before: Counts, now: Counts) -> list[str]:
    """The statsd lines with each count's increase. A count that has decreased was reset with the datapath."""
    return [
        f"{_NAMESPACE}.{name}:{_increase(before[name, tag], count)}|c|#{','.join(filter(None, (_ENGINE, tag)))}"
        for (name, tag), count in now.items()
    ]


async def send_to_statsd(port: Callable[[], int | None], interfaces: Sequence[str], stop: asyncio.Event) -> None:
    """Send the increases every 10 seconds until stop is set. port: returns the present port; None: do not send."""
    before: Counts | None = None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        while not stop.is_set():
            listener = port()
            now = await _counts_now(interfaces) if listener is not None else None
            if listener is not None and now is not None and before is not None:
                send(sender, lines(before, now), listener)
            before = now
            await wait_for_any(stop, seconds=INTERVAL_SECONDS)


async def _counts_now(interfaces: Sequence[str]) -> Counts | None:
    try:
        return counts(await asyncio.to_thread(lambda: [read_sample(interface) for interface in interfaces]))
    except GlbError as error:
        log.error("statsd: nothing sent: %s", error)
        return None


def send(sender: socket.socket, counts: Sequence[str], port: int) -> None:
    """Send each count in a datagram, as the original does.

    Without a listener, the kernel refuses the next datagram, which is ignored. Other errors, for example from a
    firewall rule, are logged.
    """
    for line in counts:
        try:
            sender.sendto(line.encode(), ("127.0.0.1", port))
        except ConnectionRefusedError:
            continue
        except OSError as error:
            log.error("statsd: nothing sent: 127.0.0.1:%d: %s", port, error.strerror)
            return


def _names(samples: Sequence[Sample]) -> set[str]:
    return {name for sample in samples for name in sample.packets}


def _frame_bytes(samples: Sequence[Sample]) -> Iterator[int]:
    for sample in samples:
        depths = {table.name: table.depth for table in sample.report.tables}
        for (kind, table, _), (packets, size) in sample.traffic.items():
            if kind == "backend":
                yield size + packets * (_HEADERS + _HOP * (depths[table] - 1))


def _increase(before: int, now: int) -> int:
    return now - before if now >= before else now
