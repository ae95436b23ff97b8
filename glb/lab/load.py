# SPDX-License-Identifier: MIT
"""The load generator: real TCP clients, run inside the client's namespace by `python -m glb.lab.load`.

    spread    one small request from each of many client addresses, to see which proxy answers
    download  files of mixed length and speed, a number of them always in flight, every byte checked

Prints one JSON object per line for each event, and a summary at the end. On SIGTERM, open connections finish first.
"""

import argparse
import asyncio
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from ipaddress import ip_address
from itertools import count, islice

from glb.lab import web_files
from glb.lab.events import LoadEvent, Summary, to_line
from glb.lab.hosts import HTTP_PORT, IPAddress, client_address, vip_for
from glb.lab.request import Request, fetch

MIX: tuple[tuple[str, str], ...] = (
    ("64k", "32k"),
    ("256k", "64k"),
    ("1m", "256k"),
    ("64k", "0"),
    ("4m", "1m"),
    ("256k", "512k"),
    ("1m", "128k"),
)
"""The files of the mixed downloads and their speeds (bytes a second; 0: at once): 0 to 8 seconds each."""


def requests(options: argparse.Namespace) -> Iterator[Request]:
    """The requests by the options, endless unless a count is given."""
    return islice((_request(options, number) for number in count()), options.count)


def _request(options: argparse.Namespace, number: int) -> Request:
    client = options.client or _client(options.family, options.first + number)
    return Request(
        number=number,
        client=client,
        server=options.server or vip_for(client),
        port=options.port,
        stall_bound_s=options.stall,
        **_file_and_rate(options, number),
    )


def _client(family: str, number: int) -> IPAddress:
    if family == "both":
        return client_address(4 if number % 2 == 0 else 6, number // 2)
    return client_address(int(family), number)


def _file_and_rate(options: argparse.Namespace, number: int) -> dict[str, str]:
    if options.mode == "spread":
        return {}
    file, rate = MIX[number % len(MIX)]
    return {"file": options.file or file, "rate": options.rate or rate}


async def run(options: argparse.Namespace, report: Callable[[LoadEvent], None]) -> Summary:
    """Keep a number of requests in flight until there are no more, the time has passed, or SIGTERM arrives."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if options.seconds:
        loop.call_later(options.seconds, stop.set)

    waiting = requests(options)
    summary = Summary()

    async def one_after_another() -> None:
        nonlocal summary
        while not stop.is_set() and (request := next(waiting, None)):
            finished = await fetch(request, report)
            summary = summary.with_request(finished)
            report(finished)

    async with asyncio.TaskGroup() as group:
        for _ in range(options.in_flight):
            group.create_task(one_after_another())
    return summary


def parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m glb.lab.load", description="TCP clients for the lab.")
    parser.add_argument("mode", choices=("spread", "download"))
    ends = parser.add_mutually_exclusive_group(required=True)
    ends.add_argument("--count", type=int, help="stop after this many requests")
    ends.add_argument("--seconds", type=float, help="begin no request after this time")
    ends.add_argument("--until-stopped", action="store_true", help="begin no request after SIGTERM")
    parser.add_argument("--in-flight", type=int, default=50, help="requests at the same time (50)")
    parser.add_argument("--family", choices=("4", "6", "both"), default="both", help="the clients' (both)")
    parser.add_argument("--first", type=int, default=0, help="number of the first client address (0)")
    parser.add_argument("--client", type=ip_address, help="one client address for all requests")
    parser.add_argument("--server", type=ip_address, help="where to connect to (the VIP)")
    parser.add_argument("--port", type=int, default=HTTP_PORT)
    parser.add_argument("--file", choices=sorted(web_files.SIZES), help="download only this file")
    parser.add_argument("--rate", help="at this speed, like 100k (bytes a second)")
    parser.add_argument("--stall", type=float, default=15.0, help="seconds without a byte that count as cut (15)")
    return parser.parse_args(argv)


def main() -> None:
    options = parse(sys.argv[1:])
    summary = asyncio.run(run(options, _print))
    _print(summary)
    sys.exit(not summary.flawless)


def _print(event: LoadEvent) -> None:
    print(to_line(event), flush=True)


if __name__ == "__main__":
    main()
