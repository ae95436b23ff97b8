# SPDX-License-Identifier: MIT
"""Random legal events in a lab while hundreds of connections live, each of which has to come to its planned end.

python -m bench.soak [--seconds S] [--connections N] [--seed N]   as root, in a lab of its own; `script/soak` installs
what it needs first. Not part of script/bench. Exit status 1 if a connection was cut.

Legal: what an operator may do, and what may happen to a daemon, without a server's machine going away. The connections
of a machine that is gone cannot be held by anything.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from signal import SIGHUP
from threading import Thread

from glb.files import replace_file
from glb.lab import Lab, hosts
from glb.lab.live_connections import Experience

_DIRECTORS = ("director1", "director2")
_PROXIES = ("proxy1", "proxy2", "proxy3", "proxy4")
_TABLE = "web"
_DRAIN_SECONDS = 120
_PAUSE_SECONDS = 3.0
_SHARE_AT_ONCE = 0.4
"""Of the events, that happen while another one does."""


@dataclass(slots=True)
class Soak:
    """One run: the lab, its random events, and what became of them."""

    lab: Lab
    dice: random.Random
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float) -> None:
        """Let events happen, one or two at a time; each leaves the lab as it was."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            backend, daemon = self.dice.choice(self._backend_events()), self.dice.choice(self._daemon_events())
            at_once = self.dice.random() < _SHARE_AT_ONCE
            for together in [[backend, daemon]] if at_once else [[backend], [daemon]]:
                threads = [Thread(target=event) for event in together]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                time.sleep(self.dice.uniform(0, _PAUSE_SECONDS))
            _show(f"{max(end - time.monotonic(), 0):4.0f} s left: {sum(self.done.values())} events")

    def _backend_events(self) -> list[Callable[[], None]]:
        proxy = self.dice.choice(_PROXIES)
        address = str(hosts.proxy(int(proxy.removeprefix("proxy"))).addresses[0].ip)
        return [
            partial(self._drain, address),
            partial(self._drain_and_remove, address),
            partial(self._set_health, address),
            partial(self._capture, proxy),
            self._apply_and_roll_back,
            self._spoil_the_file,
        ]

    def _daemon_events(self) -> list[Callable[[], None]]:
        director, proxy = self.dice.choice(_DIRECTORS), self.dice.choice(_PROXIES)
        return [
            partial(self._kill_director, director),
            partial(self._kill_proxy, proxy),
            partial(self._leave_group, director),
            partial(self._hang_up, director),
            partial(self._capture, director),
        ]

    def _drain(self, address: str) -> None:
        if self._glbctl("drain", "backend", "drain", _TABLE, address):
            time.sleep(self.dice.uniform(0, 5))
            self._glbctl("activate", "backend", "activate", _TABLE, address)

    def _drain_and_remove(self, address: str) -> None:
        words = ("--wait", "--timeout", str(_DRAIN_SECONDS), "--then", "remove")
        if self._glbctl("drain and remove", "backend", "drain", _TABLE, address, *words):
            time.sleep(self.dice.uniform(0, 5))
            self._glbctl("fill", "backend", "fill", _TABLE, address)
            time.sleep(self.dice.uniform(0, 5))
        self._glbctl("activate", "backend", "activate", _TABLE, address)

    def _set_health(self, address: str) -> None:
        """On each director: one that goes by other health than the others sends to other backends."""
        for health in ("down", "auto"):
            for director in _DIRECTORS:
                self._glbctl(f"health {health}", "backend", "set-health", _TABLE, address, health, host=director)
            time.sleep(self.dice.uniform(0, 5))

    def _apply_and_roll_back(self) -> None:
        """The same tables with another layout of the file, then the newest version with other content."""
        changed = self.lab.run_dir / "soak.json"
        changed.write_text(json.dumps(json.loads(self.lab.table_path.read_text()), indent=self.dice.randint(1, 8)))
        self._glbctl("apply", "table", "apply", str(changed))

    def _spoil_the_file(self) -> None:
        good = self.lab.table_path.read_bytes()
        replace_file(self.lab.table_path, good[: len(good) // 2])
        time.sleep(self.dice.uniform(0.5, 3))
        replace_file(self.lab.table_path, good)
        self.done["bad file"] += 1

    def _capture(self, host: str) -> None:
        self._glbctl("capture", "capture", "--seconds", "2", host=host)

    def _kill_director(self, director: str) -> None:
        self.lab.kill(director)
        time.sleep(self.dice.uniform(0, 3))
        self.lab.start_director(director)
        self.done["director killed"] += 1

    def _kill_proxy(self, proxy: str) -> None:
        self.lab.kill(proxy)
        time.sleep(self.dice.uniform(0, 3))
        self.lab.start_proxy(proxy)
        self.done["proxy's daemon killed"] += 1

    def _leave_group(self, director: str) -> None:
        self.lab.withdraw(director)
        time.sleep(self.dice.uniform(0, 3))
        self.lab.announce(director)
        self.done["route withdrawn"] += 1

    def _hang_up(self, director: str) -> None:
        if self.lab.process_id(director).send(SIGHUP):
            self.done["reload"] += 1

    def _glbctl(self, name: str, *words: str, host: str = _DIRECTORS[0]) -> bool:
        """Whether a command succeeded; glb refuses what would cut."""
        done = self.lab.run(host, ["glbctl", *words])
        (self.refused if done.returncode else self.done)[name] += 1
        if done.returncode:
            _show(f"{name} refused: {done.stderr.strip().splitlines()[-1:]}")
        return done.returncode == 0


def _show(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _report(soak: Soak, seen: Experience, seed: int) -> None:
    print(f"seed {seed}: {sum(soak.done.values())} events, {sum(soak.refused.values())} refused by glb")
    for name, count in sorted((soak.done + soak.refused).items()):
        print(f"  {name}: {count}" + (f", of which {soak.refused[name]} refused" if soak.refused[name] else ""))
    print(f"{seen.connections} connections, {len(seen.cut)} cut, longest wait for an answer {seen.stall:.2f} s")
    for cut in seen.cut[:20]:
        print(f"  cut: {cut}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--connections", type=int, default=300)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    chosen = parser.parse_args()
    with Lab.up("soak", owned=True, directors=len(_DIRECTORS), proxies=len(_PROXIES)) as lab:
        soak = Soak(lab, random.Random(chosen.seed))
        with lab.live_connections(chosen.connections) as live, live.during() as seen:
            soak.run(chosen.seconds)
    _report(soak, seen, chosen.seed)
    return 1 if seen.cut else 0


if __name__ == "__main__":
    raise SystemExit(main())
