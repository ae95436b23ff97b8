# SPDX-License-Identifier: MIT
"""Live connections: `python -m glb.lab.live_client`, run inside the client's namespace.

Each connection sends a small request to its proxy several times a second for some seconds; then a connection of another
client replaces it. The longest wait for an answer shows how long packets were lost.

Prints a JSON object (`Beat`) per line until SIGTERM.
"""

import argparse
import asyncio
import json
import signal
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import count

from glb.lab.hosts import HTTP_PORT, IPAddress, client_address, vip_for
from glb.lab.live_connections import Beat

INTERVAL_S = 0.2
_REPORT_S = 0.1
_BOUND_S = 30.0  # without an answer, after which a connection counts as cut
_SHORTEST, _SPREAD = 40, 60  # requests of a connection: 40 to 99, so that they do not end together
_REQUEST = b"GET / HTTP/1.1\r\nHost: lab\r\n\r\n"


@dataclass(slots=True)
class _Watch:
    """The waits of all connections: the start of each, and the longest that has ended."""

    since: dict[int, float] = field(default_factory=dict)
    longest: float = 0.0
    ended: int = 0
    cut: list[str] = field(default_factory=list)
    living: set[int] = field(default_factory=set)

    def sent(self, number: int) -> None:
        self.since[number] = time.monotonic()

    def answered(self, number: int) -> None:
        self.longest = max(self.longest, time.monotonic() - self.since.pop(number))

    def beat(self) -> Beat:
        now = time.monotonic()
        waiting = now - min(self.since.values(), default=now)
        beat = Beat(now, len(self.living), self.ended, tuple(self.cut), round(waiting, 3), round(self.longest, 3))
        self.longest = 0.0
        return beat


async def run(connections: int) -> None:
    """Keep this number of connections open until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    watch = _Watch()
    numbers = count()
    tasks = [asyncio.create_task(_one_after_another(numbers, watch)) for _ in range(connections)]
    while not stop.is_set():
        await asyncio.sleep(_REPORT_S)
        print(json.dumps(asdict(watch.beat())), flush=True)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _one_after_another(numbers: Iterator[int], watch: _Watch) -> None:
    while True:
        number = next(numbers)
        watch.sent(number)
        try:
            await _live(number, watch)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            watch.cut.append(f"{_client(number)}: {error or type(error).__name__}")
        else:
            watch.ended += 1
        watch.since.pop(number, None)
        watch.living.discard(number)


async def _live(number: int, watch: _Watch) -> None:
    client = _client(number)
    async with asyncio.timeout(_BOUND_S):
        reader, writer = await asyncio.open_connection(str(vip_for(client)), HTTP_PORT, local_addr=(str(client), 0))
    watch.answered(number)
    watch.living.add(number)
    try:
        for _ in range(_SHORTEST + number % _SPREAD):
            await asyncio.sleep(INTERVAL_S)
            watch.sent(number)
            writer.write(_REQUEST)
            async with asyncio.timeout(_BOUND_S):
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(_length(head))
            watch.answered(number)
    finally:
        writer.close()


def _client(number: int) -> IPAddress:
    return client_address(4 if number % 2 == 0 else 6, number // 2)


def _length(head: bytes) -> int:
    lines = head.decode("latin-1").lower().split("\r\n")
    return next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m glb.lab.live_client", description="Live connections for the lab.")
    parser.add_argument("--connections", type=int, default=100, help="at the same time (100)")
    asyncio.run(run(parser.parse_args().connections))


if __name__ == "__main__":
    main()
