# SPDX-License-Identifier: MIT
"""The demonstration of glb's main functions, step by step: done, expected, seen."""

from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from glb.errors import LabError
from glb.lab.events import Finished, Opened, Summary
from glb.lab.hosts import VIP4, VIP6, LabHost, client_address
from glb.lab.lab import Lab
from glb.printable import plural

_CLIENTS = 300
_REPEATS = 20
_STEADY_CLIENTS = tuple(str(client_address(family, 40)) for family in (4, 6))
_DOWNLOADER = str(client_address(4, 7))
_IN_FLIGHT = 20
_BACKGROUND_BOUND_S = 60.0
_INDENT = 10
_RULE_WIDTH = 80


def run_demo(lab: Lab, console: Console) -> bool:
    """Run the demonstration on a lab with running daemons. Returns whether all results were as expected."""
    return _Demo(lab, console).run()


@dataclass(frozen=True, slots=True)
class _Seen:
    """The result of a step, and whether it was expected."""

    what: str
    as_expected: bool


class _Demo:
    """The steps share the lab, the downloads in the background, and the totals."""

    def __init__(self, lab: Lab, console: Console) -> None:
        self._lab = lab
        self._console = console
        self._total = Summary()
        self._drained = lab.proxies[0]

    def run(self) -> bool:
        self._introduce()
        with ExitStack() as stack:
            arguments = ("download", "--until-stopped", "--in-flight", str(_IN_FLIGHT), "--first", "1000")
            self._background = stack.enter_context(self._lab.traffic(*arguments))
            steps = (self._spread, self._stick, self._drain, self._remove, self._fill, self._finish)
            held = all(step() for step in steps)
        held = held and self._total.flawless
        self._conclude(held)
        return held

    # The steps

    def _spread(self) -> bool:
        def act() -> _Seen:
            answers = self._requests("spread", "--count", str(_CLIENTS))
            wanted = {proxy.name for proxy in self._lab.proxies}
            return _Seen(_shares(answers), _all_ok(answers) and _proxies(answers) == wanted)

        return self._step(
            "Requests spread over the proxies",
            f"{_CLIENTS} requests, each from another address, IPv4 and IPv6 alternately",
            "each proxy answers its share; no request fails",
            act,
        )

    def _stick(self) -> bool:
        def act() -> _Seen:
            seen = [self._repeat(client) for client in _STEADY_CLIENTS]
            stuck = all(_all_ok(answers) and len(_proxies(answers)) == 1 for answers in seen)
            lines = (f"{c}: {_shares(answers)}" for c, answers in zip(_STEADY_CLIENTS, seen, strict=True))
            return _Seen("\n".join(lines), stuck)

        return self._step(
            "One address, always the same proxy",
            f"{_REPEATS} requests from one IPv4 address, {_REPEATS} from one IPv6 address",
            "one proxy answers all requests of an address",
            act,
        )

    def _drain(self) -> bool:
        def act() -> _Seen:
            with self._lab.traffic(
                "download", "--count", "1", "--client", _DOWNLOADER, "--file", "4m", "--rate", "512k"
            ) as slow:
                opened = slow.wait_for(lambda event: isinstance(event, Opened))
                assert isinstance(opened, Opened)
                self._drained = self._lab.host(opened.proxy)
                self._note(f"the download of {_DOWNLOADER} comes from {self._drained.name}")
                self._backend("drain", self._drained)
                answers = self._repeat(_DOWNLOADER)
                answers += self._requests("spread", "--count", str(_CLIENTS))
                self._total += slow.wait()
            [download] = slow.finished
            return self._judge_drain(answers, download)

        return self._step(
            "A drain cuts no connection",
            "a download of 4 MiB at 512 KiB/s; meanwhile its proxy is drained, and "
            f"{_REPEATS + _CLIENTS} connections are made, {_REPEATS} of them from the downloading address",
            "other proxies get the new connections; the download completes with the correct SHA-256",
            act,
        )

    def _judge_drain(self, answers: list[Finished], download: Finished) -> _Seen:
        elsewhere = _all_ok(answers) and self._drained.name not in _proxies(answers)
        whole = download.outcome == "ok" and download.proxy == self._drained.name
        result = "SHA-256 correct" if whole else f"{download.outcome}: {download.reason}"
        return _Seen(
            f"new connections: {_shares(answers)}\n"
            f"the download: {download.bytes} bytes from {download.proxy}, "
            f"{download.seconds:.1f} s, {result}",
            elsewhere and whole,
        )

    def _remove(self) -> bool:
        def act() -> _Seen:
            name = self._drained.name
            self._background.wait_until(lambda: not self._background_at(name), _BACKGROUND_BOUND_S)
            self._note(f"{name} has no connection left")
            self._backend("remove", self._drained)
            self._lab.remove_proxy(name)
            answers = self._requests("spread", "--count", str(_CLIENTS))
            return _Seen(_shares(answers), _all_ok(answers) and name not in _proxies(answers))

        return self._step(
            f"The drained backend is removed: {self._drained.name}",
            "wait for its last connection, remove it from the table, shut it down",
            "the other proxies answer all requests",
            act,
        )

    def _fill(self) -> bool:
        def act() -> _Seen:
            added = self._lab.add_proxy()
            self._note(f"{added.name} is up")
            self._backend("fill", added)
            answers = self._requests("spread", "--count", str(_CLIENTS))
            wanted = {proxy.name for proxy in self._lab.proxies}
            return _Seen(_shares(answers), _all_ok(answers) and _proxies(answers) == wanted)

        return self._step(
            "A new proxy is filled in",
            "a new proxy is started and added to the table",
            "it gets its share of new connections; open connections stay where they are",
            act,
        )

    def _finish(self) -> bool:
        def act() -> _Seen:
            summary = self._background.stop()
            self._total += summary
            proxies = len(_proxies(self._background.finished))
            return _Seen(
                f"{summary.requests} downloads, {summary.bytes >> 20} MiB from {_counted_proxies(proxies)}: "
                f"{summary.failed} failed, {summary.cut} cut",
                summary.flawless,
            )

        return self._step(
            "The downloads in the background",
            f"{_IN_FLIGHT} downloads of mixed length and speed were in flight during all steps",
            "each completed with the correct SHA-256",
            act,
        )

    # Parts of the steps

    def _requests(self, *arguments: str) -> list[Finished]:
        with self._lab.traffic(*arguments) as traffic:
            self._total += traffic.wait()
        return traffic.finished

    def _repeat(self, client: str) -> list[Finished]:
        return self._requests("spread", "--count", str(_REPEATS), "--client", client)

    def _background_at(self, proxy: str) -> bool:
        return any(opened.proxy == proxy for opened in self._background.in_flight)

    def _backend(self, verb: str, proxy: LabHost) -> None:
        """Run `glbctl backend VERB`, as a user would. Raises LabError if it fails."""
        command = ["glbctl", "backend", verb, str(self._lab.table_path), str(proxy.addresses[0].ip)]
        self._note("$ " + " ".join(command))
        done = self._lab.run(self._lab.directors[0].name, command)
        if done.returncode != 0:
            raise LabError(f"`{' '.join(command)}` ended with {done.returncode}: {done.stderr or done.stdout}")

    # Output

    def _introduce(self) -> None:
        kinds = f"{plural(len(self._lab.directors), 'director')} and {_counted_proxies(len(self._lab.proxies))}"
        self._console.print(
            f"The lab {self._lab.name!r} is up: a client, a router, {kinds} "
            f"with nginx, each in a network namespace. The service is at {VIP4} and {VIP6}. "
            f"{_IN_FLIGHT} downloads are in flight at all times.",
            highlight=False,
        )

    def _step(self, title: str, done: str, expected: str, act: Callable[[], _Seen]) -> bool:
        """Print the step, run it, print the result. Returns whether it was as expected."""
        self._head(title)
        self._print("done", done)
        self._print("expected", expected)
        try:
            seen = act()
        except LabError as error:
            seen = _Seen(str(error), False)
        self._print("seen", seen.what)
        self._judge(seen.as_expected, "as expected", "NOT as expected")
        return seen.as_expected

    def _head(self, title: str) -> None:
        self._console.print()
        rule = Rule(Text(title, style="bold"), align="left", characters="-")
        self._console.print(rule, width=min(self._console.width, _RULE_WIDTH))  # a pipe has no width

    def _print(self, label: str, text: str, style: str = "") -> None:
        line = Table.grid(padding=(0, 1))
        line.add_column(width=_INDENT - 1, style="dim")
        line.add_column(overflow="fold")
        line.add_row(label, Text(text, style=style))
        self._console.print(line)

    def _judge(self, good: bool, yes: str, no: str) -> None:
        self._print("", yes if good else no, style="green" if good else "bold red")

    def _note(self, text: str) -> None:
        """One line of any length, so that a command can be copied."""
        self._console.print(Text(" " * _INDENT + text, style="cyan"), soft_wrap=True)

    def _conclude(self, held: bool) -> None:
        self._head("Summary")
        self._print("", f"requests made:   {self._total.requests}")
        self._print("", f"failed:          {self._total.failed}")
        self._print("", f"connections cut: {self._total.cut}")
        self._judge(held, "All results as expected.", "NOT all results as expected.")


def _counted_proxies(number: int) -> str:
    return f"{number} {'proxy' if number == 1 else 'proxies'}"


def _all_ok(answers: Iterable[Finished]) -> bool:
    return all(answer.outcome == "ok" for answer in answers)


def _proxies(answers: Iterable[Finished]) -> set[str]:
    return {answer.proxy for answer in answers if answer.proxy}


def _shares(answers: Iterable[Finished]) -> str:
    """The number of answers by proxy, and of failures: "proxy1 103, proxy2 97, failed 1"."""
    counts = Counter(answer.proxy if answer.outcome == "ok" else str(answer.outcome) for answer in answers)
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items()))
