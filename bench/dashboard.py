# SPDX-License-Identifier: MIT
"""A picture of the dashboard: its own queries, run on a real Prometheus that scrapes a lab while a proxy is drained.

`script/pictures` runs it.
"""

import json
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bench.moves import move
from bench.panels import Mark, Panel, Series, picture
from glb.lab import Lab, hosts
from glb.lab.process import LabProgram, end

DASHBOARD = Path("docs/grafana/glb.json")
TITLES = (
    "Packets by backend",
    "Proxy: who takes it",
    "Second-chance forwards, by pair of proxies",
    "Director: verdicts other than sent",
)
_PORT = 9490
_RATE_WINDOW = "5s"
_PHASE_SECONDS = 20.0
_DRAINED = "proxy1"


def main(path: Path) -> None:
    """Write the picture of a minute: traffic, `proxy1` drained, and active again."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Lab.up("dashboard", owned=True) as lab,
        _prometheus(lab, Path(folder)),
        lab.traffic("download", "--until-stopped", "--in-flight", "100"),
    ):
        began = _wait_for_first_samples(lab)
        time.sleep(_PHASE_SECONDS)
        marks = [_change(lab, "drain", began)]
        time.sleep(_PHASE_SECONDS)
        marks.append(_change(lab, "activate", began))
        time.sleep(_PHASE_SECONDS)
        panels = [_panel(lab, title, began, time.time()) for title in TITLES]
    path.write_text(picture(panels, marks))


@contextmanager
def _prometheus(lab: Lab, folder: Path) -> Iterator[None]:
    """On the lab's router, which scrapes all daemons each second."""
    targets = [f"{host.ipv4.ip}:{hosts.METRICS_PORT}" for host in (*lab.directors, *lab.proxies) if host.ipv4]
    job = {"job_name": "glb", "static_configs": [{"targets": targets}]}
    settings = folder / "prometheus.yml"  # JSON is YAML
    settings.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [job]}))
    command = ["prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}"]
    command.append(f"--web.listen-address=127.0.0.1:{_PORT}")
    program = LabProgram(lab.namespace("router"), command, folder / "prometheus.log", lab.env)
    try:
        yield
    finally:
        end(program.id, signal.SIGKILL)


def _wait_for_first_samples(lab: Lab) -> float:
    """When each daemon has answered often enough for a rate, in seconds since 1970."""
    daemons = len(lab.directors) + len(lab.proxies)
    query = f"count(count_over_time(up[{_RATE_WINDOW}]) >= 5)"
    while not (found := _ask(lab, "query", query=query)) or float(found[0]["value"][1]) < daemons:
        time.sleep(0.2)
    return time.time()


def _change(lab: Lab, verb: str, began: float) -> Mark:
    address = str(lab.host(_DRAINED).addresses[0].ip)
    move(lab, verb, address)
    return Mark(time.time() - began, f"{verb} {address}")


def _panel(lab: Lab, title: str, began: float, ended: float) -> Panel:
    """What the dashboard shows in its panel of this title, without the lines that stay at 0."""
    [target] = next(panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["title"] == title)[
        "targets"
    ]
    query = target["expr"].replace("$instance", ".*").replace("$__rate_interval", _RATE_WINDOW)
    found = _ask(lab, "query_range", query=query, start=str(began), end=str(ended), step="1")
    series = [
        Series(_legend(target["legendFormat"], one["metric"]), tuple((t - began, float(v)) for t, v in one["values"]))
        for one in found
    ]
    return Panel(title, tuple(one for one in series if any(value for _, value in one.points)))


def _legend(form: str, labels: dict[str, str]) -> str:
    for name, value in labels.items():
        form = form.replace(f"{{{{{name}}}}}", value.removesuffix(f":{hosts.METRICS_PORT}"))
    return form


def _ask(lab: Lab, path: str, **arguments: str) -> Sequence[Any]:
    """Nothing as long as there is no answer."""
    done = lab.run("router", ["curl", "-s", f"http://127.0.0.1:{_PORT}/api/v1/{path}?{urlencode(arguments)}"])
    answer = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    result: Sequence[Any] = answer.get("data", {}).get("result", [])
    return result


if __name__ == "__main__":
    main(Path(sys.argv[1]))
