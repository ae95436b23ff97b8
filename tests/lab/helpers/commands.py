# SPDX-License-Identifier: MIT
"""`glbctl` as its users run it: a process of its own, on a host of the lab."""

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glb.ctl.shapes import command_of, problem_with
from glb.daemon.report import read_report
from glb.lab import Lab, hosts
from glb.lab.process import argv_in
from tests.lab.helpers.packets import wait_for

Counts = dict[str, dict[str, int]]


def glbctl(lab: Lab, host: str, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command of glbctl on a host; its status is the caller's to judge."""
    return subprocess.run(
        argv_in(lab.namespace(host), ["glbctl", *arguments]),
        env=lab.env,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def fetch(lab: Lab, client: str) -> str:
    """The name of the proxy that answers a client."""
    command = ["curl", "-sf", "--max-time", "10", "--interface", client, f"http://{hosts.VIP4}/"]
    return lab.run("client", command).stdout.strip()


def facts(lab: Lab, host: str, *arguments: str, stdin: str | None = None) -> Any:
    """What a command that succeeds says with -o json."""
    done = glbctl(lab, host, *arguments, "-o", "json", stdin=stdin)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert (problem := problem_with(command_of(arguments), said)) is None, problem
    return said


def counts(lab: Lab) -> Counts:
    """The packets of each interface's datapath by verdict, as `glbctl stats` tells them: the whole lab's at once."""
    return {fact["interface"]: fact["packets"] for fact in facts(lab, "director1", "stats")}


def growth(before: Counts, after: Counts) -> Counts:
    """The verdicts that were met in between."""
    return {
        interface: {name: more for name, count in packets.items() if (more := count - before[interface][name])}
        for interface, packets in after.items()
    }


@dataclass(frozen=True, slots=True)
class Choice:
    """What `glbctl lookup` says of a packet."""

    hops: tuple[str, ...]
    tunnel_source_port: int

    @property
    def proxies(self) -> tuple[str, ...]:
        """The hops by their names."""
        names = {str(proxy.ipv4.ip): proxy.name for proxy in map(hosts.proxy, range(1, 10)) if proxy.ipv4}
        return tuple(names[hop] for hop in self.hops)


def lookups(
    lab: Lab, pairs: Sequence[tuple[str, str]], proto: str, table: Path | None = None, config: Path | None = None
) -> list[Choice | None]:
    """What `glbctl lookup` says of each (source, destination), None where no bind matches; all asked at once."""
    done = glbctl(
        lab,
        "director1",
        "lookup",
        str(table or lab.table_path),
        *("--from", "-", "--proto", proto, "-o", "json"),
        *("--config", str(config or lab.run_dir / "director1.conf")),
        stdin="".join(f"{source} {destination}\n" for source, destination in pairs),
    )
    assert done.returncode in (0, 1), done.stderr
    return [
        Choice(tuple(fact["hops"]), fact["tunnel_source_port"]) if fact["bind"] else None
        for fact in json.loads(done.stdout)
    ]


def backend(lab: Lab, verb: str, proxy: str, *options: str) -> None:
    """Run `glbctl backend VERB` for a proxy of the lab's table; returns when every director has taken it over."""
    address = lab.host(proxy).addresses[0].ip
    done = glbctl(lab, "director1", "backend", verb, str(lab.table_path), str(address), *options)
    assert done.returncode == 0, done.stderr
    wait_until_agreed(lab)


def wait_until_agreed(lab: Lab) -> None:
    """Wait until the directors that follow the lab's table file, each on its own host, have loaded the same tables."""

    def digests() -> set[str | None]:
        paths = [lab.run_dir / f"{director.name}.status.json" for director in lab.directors]
        reports = [read_report(path) for path in paths if path.exists()]
        return {report.tables_digest for report in reports if report.table_file == str(lab.table_path)}

    wait_for(lambda: len(digests()) <= 1, "all directors have the same tables")


@contextmanager
def drained(lab: Lab, proxy: str) -> Iterator[None]:
    """For the time of the block, the proxy is the second in the rows in which it was the first."""
    backend(lab, "drain", proxy)
    try:
        yield
    finally:
        backend(lab, "activate", proxy)


def faults(lab: Lab, host: str) -> set[tuple[str, str]]:
    """What `glbctl doctor` finds wrong on a host: check and level."""
    done = glbctl(lab, host, "doctor", "-o", "json")
    findings = json.loads(done.stdout)
    wrong = {(finding["check"], finding["level"]) for finding in findings if finding["level"] != "ok"}
    assert done.returncode == int(any(level == "error" for _, level in wrong))
    assert any(finding["subject"] == host for finding in findings)
    return wrong
