# SPDX-License-Identifier: MIT
"""Metrics in a real Prometheus and statsd: the queries of the dashboard and the rules have results."""

import json
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from resource import RLIMIT_NOFILE, prlimit
from typing import Any
from urllib.parse import urlencode

import pytest

from glb.config.model import AGENT_PORT
from glb.control.client import Client
from glb.lab import Lab, hosts
from glb.lab.process import LabProgram, end
from tests.lab.helpers.commands import facts, faults, glbctl
from tests.lab.helpers.director import replace_text
from tests.lab.helpers.packets import wait_for

DOCS = Path(__file__).parents[2] / "docs"
PORT = 9490
CONNECTIONS = 30
STATSD_PORT = 8125
IDLE = 1100
# What is a question of what has happened, which in this lab it has not.
MAY_BE_EMPTY = {"Director: verdicts other than sent", "Second-chance forwards, by pair of proxies"}


class Prometheus:
    """A Prometheus on the lab's router, which scrapes all daemons every second."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._targets = [f"{host.ipv4.ip}:{hosts.METRICS_PORT}" for host in (*lab.directors, *lab.proxies) if host.ipv4]
        settings = folder / "prometheus.yml"  # JSON is YAML
        settings.write_text(
            json.dumps(
                {
                    "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                    "rule_files": [str(DOCS / "prometheus" / "alerts.yml")],
                    "scrape_configs": [{"job_name": "glb", "static_configs": [{"targets": self._targets}]}],
                }
            )
        )
        command = ["prometheus", f"--config.file={settings}", f"--storage.tsdb.path={folder / 'data'}"]
        command.append(f"--web.listen-address=127.0.0.1:{PORT}")
        self._program = LabProgram(lab.namespace("router"), command, folder / "prometheus.log", lab.env)

    def stop(self) -> None:
        end(self._program.id, signal.SIGKILL)

    def request(self, path: str, **arguments: str) -> Any:
        """None as long as there is no answer."""
        url = f"http://127.0.0.1:{PORT}/api/v1/{path}?{urlencode(arguments)}"
        done = self._lab.run("router", ["curl", "-s", url])
        answer = json.loads(done.stdout) if done.returncode == 0 and done.stdout.startswith("{") else {}
        assert answer.get("status") != "error", answer
        return answer.get("data")

    def query(self, expression: str) -> list[Any]:
        data = self.request("query", query=expression)
        return data["result"] if data else []

    def wait_for_value(self, expression: str, value: float) -> None:
        wait_for(
            lambda: [float(found["value"][1]) for found in self.query(expression)] == [value],
            f"{expression} is {value}",
        )


@pytest.fixture(scope="module")
def prometheus(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    running = Prometheus(lab, tmp_path_factory.mktemp("prometheus"))
    try:
        daemons = len(lab.directors) + len(lab.proxies)
        running.wait_for_value("sum(up)", daemons)
        running.wait_for_value("count(glb_director_attached == 1) + count(glb_proxy_attached == 1)", daemons)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def _traffic(lab: Lab, prometheus: Prometheus) -> None:
    with lab.traffic("spread", "--count", str(CONNECTIONS)) as traffic:
        assert traffic.wait().flawless


@pytest.mark.usefixtures("_traffic")
def test_prometheus_counts_what_the_datapaths_count(lab: Lab, prometheus: Prometheus) -> None:
    stats = facts(lab, "director1", "stats")
    sent = sum(fact["packets"]["encapsulated"] for fact in stats if fact["program"] == "director")
    size = sum(backend["bytes"] for fact in stats for backend in fact.get("backends", []))

    prometheus.wait_for_value('sum(glb_proxy_packets_total{verdict="taken_syn"})', CONNECTIONS)
    prometheus.wait_for_value('sum(glb_director_packets_total{verdict="encapsulated"})', sent)
    prometheus.wait_for_value("sum(glb_director_backend_bytes_total)", size)
    prometheus.wait_for_value("sum(glb_director_bind_bytes_total)", size)
    prometheus.wait_for_value("count(count by (digest) (glb_director_tables_info))", 1)


@pytest.mark.usefixtures("_traffic")
def test_every_panel_of_the_dashboard_has_something_to_show(prometheus: Prometheus) -> None:
    dashboard = json.loads((DOCS / "grafana" / "glb.json").read_text())
    panels = {panel["title"]: [target["expr"] for target in panel["targets"]] for panel in dashboard["panels"]}

    def is_shown(title: str, expression: str) -> bool:
        query = expression.replace("$instance", ".*").replace("$__rate_interval", "1m")
        return bool(prometheus.query(query)) or title in MAY_BE_EMPTY

    for title, expressions in panels.items():
        for expression in expressions:
            wait_for(lambda t=title, e=expression: is_shown(t, e), f"{title}: {expression}")  # type: ignore[misc]


def test_the_alert_rules_are_evaluated_without_an_error(prometheus: Prometheus) -> None:
    def health() -> set[str]:
        groups = (prometheus.request("rules") or {"groups": []})["groups"]
        return {rule["health"] for group in groups for rule in group["rules"]}

    wait_for(lambda: health() == {"ok"}, "each rule is evaluated")


def test_the_control_socket_answers_with_the_same_metrics(lab: Lab) -> None:
    done = lab.run(
        "director1", ["curl", "-s", "--unix-socket", str(lab.run_dir / "director1.sock"), "http://glb/metrics"]
    )

    assert 'glb_director_attached{interface="director1"} 1.0' in done.stdout
    assert "process_cpu_seconds_total" in done.stdout


def test_the_apis_return_what_stats_shows(lab: Lab) -> None:
    shown = {fact["interface"]: fact for fact in facts(lab, "director1", "stats")}
    director = Client(lab.run_dir / "director1.sock")
    agent = f"http://{lab.host('proxy1').addresses[0].ip}:{AGENT_PORT}/v1"

    def from_agent(path: str) -> Any:
        return json.loads(lab.run("router", ["curl", "-sf", f"{agent}/{path}"]).stdout)

    for [answer] in (director.get("/v1/stats"), from_agent("stats")):
        like = shown[answer["interface"]]
        assert answer.keys() == like.keys()
        assert (answer["program"], answer["packets"].keys()) == (like["program"], like["packets"].keys())
        assert [bind["bind"] for bind in answer["binds"]] == [bind["bind"] for bind in like["binds"]]
    for verdicts, subject in ((director.get("/v1/verdicts"), "director"), (from_agent("verdicts"), "proxy")):
        assert verdicts == [text for text in facts(lab, "director1", "explain") if text["subject"] == subject]


def test_a_report_that_was_removed_is_written_again(lab: Lab) -> None:
    report = lab.run_dir / "director2.status.json"

    report.unlink()

    wait_for(report.exists, "the report is there again")


def test_durations_of_loads_and_health_changes_are_metrics(lab: Lab) -> None:
    client = Client(lab.run_dir / "director1.sock")
    health = "/v1/tables/web/backends/10.77.0.103/health"

    def count(times: str) -> int:
        return sum(client.get("/v1/status")[0][times]["counts"])

    loads, rebuilds = count("load_times"), count("health_times")
    client.post("/v1/reload")
    client.put(health, {"health": "down"})
    wait_for(lambda: count("health_times") > rebuilds, "the change of health is taken over")
    client.put(health, {"health": "auto"})

    assert count("load_times") == loads + 1
    assert 0 < client.get("/v1/status")[0]["load_seconds"] < 60


@pytest.mark.usefixtures("_traffic")
def test_statsd_receives_the_original_counters(lab: Lab) -> None:
    config = lab.run_dir / "director2.conf"
    with lab.open_socket("director2", socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", STATSD_PORT))
        statsd.settimeout(60)
        replace_text(config, json.dumps(json.loads(config.read_text()) | {"statsd_port": STATSD_PORT}))
        lines = [statsd.recv(2048).decode() for _ in range(13)]

    names = {line.partition(":")[0].removeprefix("glb.director.packets.") for line in lines}
    assert names == {"processed", "encapsulated", "encapsulated_bytes", "results", "internal_errors"}
    assert "glb.director.packets.internal_errors:0|c|#glb_engine:xdp,error:ErrorMissingRow" in lines


def test_top_shows_the_rates_of_vip_backends_and_verdicts(lab: Lab) -> None:
    with lab.traffic("spread", "--until-stopped", "--in-flight", "2", "--family", "4") as traffic:
        traffic.wait_until(lambda: bool(traffic.finished))
        shown_rates = facts(lab, "director1", "top", "--once", "--interval", "2")
        shown = glbctl(lab, "director1", "top", "--once").stdout

    rates = {bind["bind"]: bind["packets_per_second"] for bind in shown_rates["binds"]}
    assert rates[f"{hosts.VIP4}:80/tcp"] > 0
    assert sum(backend["bits_per_second"] for backend in shown_rates["backends"]) > 0
    assert f"{hosts.VIP4}:80/tcp" in shown
    assert "taken_established" in shown


@contextmanager
def idle_connections(lab: Lab, host: str, places: Sequence[tuple[str, int]], number: int) -> Iterator[None]:
    """Connections from a host, on which nothing is sent; those that are closed by the other side stay open here."""
    with ExitStack() as opened:
        for place in places:
            for _ in range(number):
                connection = opened.enter_context(lab.open_socket(host, socket.AF_INET, socket.SOCK_STREAM))
                connection.settimeout(60)
                connection.connect(place)
        yield


def test_idle_connections_stop_neither_health_nor_scrapes(lab: Lab, prometheus: Prometheus) -> None:
    client = Client(lab.run_dir / "director1.sock")
    places = [("director1", hosts.METRICS_PORT), ("proxy1", hosts.METRICS_PORT), ("proxy1", AGENT_PORT)]
    before = {host: len(lab.log(host)) for host in ("director1", "proxy1")}
    for host in before:
        prlimit(lab.process_id(host).pid, RLIMIT_NOFILE, (1024, 1024))

    def healthy() -> dict[str, bool]:
        return {backend["address"]: backend["healthy"] for backend in client.get("/v1/health")["backends"]}

    with idle_connections(lab, "proxy2", [(str(lab.host(h).addresses[0].ip), p) for h, p in places], IDLE):
        lab.kill("proxy3", "nginx")
        wait_for(lambda: not healthy()["10.77.0.103"], "the failure of one backend is detected")
        lab.start_web_server("proxy3")
        wait_for(lambda: all(healthy().values()), "all backends are healthy")
        assert answers(lab, "router", f"{lab.host('director1').addresses[0].ip}:{hosts.METRICS_PORT}")
        agent = f"http://{lab.host('proxy1').addresses[0].ip}:{AGENT_PORT}/v1/status"
        assert lab.run("router", ["curl", "-sf", "--max-time", "10", agent]).returncode == 0

    logged = {host: lab.log(host)[start:] for host, start in before.items()}
    assert all(len(text) < 4096 for text in logged.values()), logged
    assert "10.77.0.101" not in logged["director1"]


def answers(lab: Lab, host: str, place: str) -> bool:
    return lab.run(host, ["curl", "-sf", "--max-time", "10", f"http://{place}/metrics"]).returncode == 0


@pytest.mark.parametrize(("role", "host"), [("director", "director2"), ("proxy", "proxy3")])
def test_an_occupied_port_is_reported_and_used_once_free(lab: Lab, role: str, host: str) -> None:
    address = str(lab.host(host).addresses[0].ip)
    place = f"{address}:{hosts.METRICS_PORT}"
    trouble = f"{place}: Address already in use"

    def reported() -> tuple[list[str], str | None]:
        (daemon,) = facts(lab, host, role, "status", "--iface", host)
        return daemon["metrics"], daemon["metrics_trouble"]

    start = lab.start_director if role == "director" else lab.start_proxy
    lab.stop(host)
    with lab.within(host, lambda: socket.create_server((address, hosts.METRICS_PORT))):
        start(host)
        wait_for(lambda: reported() == ([], trouble), "the status reports the occupied port")
        shown = " ".join(glbctl(lab, host, role, "status", "--iface", host).stdout.split())
        assert f"metrics not available: {trouble}" in shown
        assert ("metrics", "warning") in faults(lab, host)
    wait_for(lambda: reported() == ([place], None), "the status reports the address")

    assert answers(lab, host, place)
    assert ("metrics", "warning") not in faults(lab, host)
    assert (
        lab.log(host).count(f"the metrics exporter is not available; packets are forwarded as before: {trouble}") == 1
    )


def test_prometheus_is_answered_where_the_file_says_now(lab: Lab) -> None:
    config = lab.run_dir / "director2.conf"
    before = config.read_text()
    place = f"127.0.0.1:{hosts.METRICS_PORT + 1}"

    replace_text(config, json.dumps(json.loads(before) | {"metrics": {"listen": place}}))
    wait_for(lambda: answers(lab, "director2", place), "the new port answers")
    replace_text(config, before)
    wait_for(lambda: not answers(lab, "director2", place), "it does not any more")
