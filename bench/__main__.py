# SPDX-License-Identifier: MIT
"""script/bench's commands."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import (
    datapath,
    footprint,
    machine,
    network,
    page,
    progress,
    reload,
    report,
    routing,
    scale,
    svg,
    tables,
    terminal,
)
from bench.harness import BenchError
from glb.errors import GlbError

Part = Callable[[bool], dict[str, Any]]


def _datapath(quick: bool) -> dict[str, Any]:
    return datapath.run(datapath.QUICK if quick else datapath.THOROUGH, progress.to_stderr)


def _network(quick: bool) -> dict[str, Any]:
    return network.run(network.QUICK if quick else network.THOROUGH, progress.to_stderr)


def _reload(quick: bool) -> dict[str, Any]:
    return reload.run(10 if quick else 50, progress.to_stderr)


def _tables(_quick: bool) -> dict[str, Any]:
    progress.to_stderr("tables: building forwarding tables")
    return tables.run()


def _scale(quick: bool) -> dict[str, Any]:
    return scale.run(scale.QUICK if quick else scale.THOROUGH, progress.to_stderr)


def _footprint(quick: bool) -> dict[str, Any]:
    return footprint.run(footprint.QUICK if quick else footprint.THOROUGH, progress.to_stderr)


def _routing(quick: bool) -> dict[str, Any]:
    return routing.run(routing.QUICK if quick else routing.THOROUGH, progress.to_stderr)


PARTS: dict[str, Part] = {
    "datapath": _datapath,
    "network": _network,
    "tables": _tables,
    "scale": _scale,
    "reload": _reload,
    "routing": _routing,
    "footprint": _footprint,
}


def _arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/bench", description="Measure what glb costs, as ratios in one run.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"what to measure: {', '.join(PARTS)} (default: all)")
    parser.add_argument("--quick", action="store_true", help="a look in a minute, too coarse to be quoted")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the picture of the datapath")
    parser.add_argument("--write", action="store_true", help="put tables, picture and figures into docs/")
    chosen = parser.parse_args(argv)
    if unknown := set(chosen.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    return chosen


def main(argv: Sequence[str]) -> int:
    """Returns 0, 1 if a bar is missed, 2 if something cannot be measured."""
    chosen = _arguments(argv)
    try:
        document = {
            name: {"machine": machine.describe(), **PARTS[name](chosen.quick)} for name in chosen.parts or PARTS
        }
    except (BenchError, GlbError) as error:
        print(f"script/bench: {error}", file=sys.stderr)
        return 2
    terminal.show(document)
    if chosen.output:
        chosen.output.write_text(page.to_json(document))
    if chosen.svg:
        chosen.svg.write_text(svg.picture(document))
    if chosen.write:
        page.write(document)
    return 0 if report.bars_met(document) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
