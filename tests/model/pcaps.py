# SPDX-License-Identifier: MIT
"""Write what goes into the programs, and what comes out, as files for Wireshark and tcpdump.

    python -m tests.model.pcaps DIR

For each named packet, DIR/director/NAME.pcap and DIR/proxy/NAME.pcap hold the frame that goes in and, if it is not
dropped, the one that comes out. `index.md` says of each what it proves, and its verdict. The frames are the model's,
which the tests compare with the programs in the kernel; so no privileges are needed.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from scapy.utils import PcapWriter

from . import director_cases, proxy_cases
from .cases import Case
from .director import Result

ETHERNET = 1
HEADING = """# Named packets

Each file holds the frame that goes in and, unless it is dropped, the frame that comes out. *Setup* is the
configuration's name in `tests/model/`.
"""


def run_director(case: Case) -> Result:
    return director_cases.model(case.setup).run(bytes(case.frame))


def run_proxy(case: Case) -> Result:
    return proxy_cases.SETUPS[case.setup].run(bytes(case.frame))


def write(folder: Path) -> None:
    lines = [HEADING]
    programs = (("director", director_cases.CASES, run_director), ("proxy", proxy_cases.CASES, run_proxy))
    for name, cases, run in programs:
        lines += write_program(folder / name, cases, run)
    (folder / "index.md").write_text("\n".join(lines))


def write_program(folder: Path, cases: Iterable[Case], run: Callable[[Case], Result]) -> Iterator[str]:
    """Write the program's files; yields the index's lines about them."""
    folder.mkdir(parents=True, exist_ok=True)
    yield f"## {folder.name}\n\n| file | what it proves | setup | verdict |\n| --- | --- | --- | --- |"
    for case in cases:
        result = run(case)
        frames = [bytes(case.frame), *([result.frame] if result.frame is not None else [])]
        write_pcap(folder / f"{case.name}.pcap", frames)
        yield f"| {folder.name}/{case.name}.pcap | {case.proves} | {case.setup} | `{result.verdict}` |"
    yield ""


def write_pcap(path: Path, frames: Iterable[bytes]) -> None:
    """Byte by byte, since many are malformed; one second apart, from 0 on, so that every run writes the same."""
    with PcapWriter(str(path), linktype=ETHERNET) as writer:
        writer.write_header(None)
        for second, frame in enumerate(frames):
            writer.write_packet(frame, sec=second, usec=0)


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: script/pcaps DIR")
    folder = Path(sys.argv[1])
    write(folder)
    print(f"{folder / 'index.md'} says what each file shows")


if __name__ == "__main__":
    main()
