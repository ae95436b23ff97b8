# SPDX-License-Identifier: MIT
"""`glbctl backend drain --wait`, with connections that are held open, and the proxy's agent that counts them."""

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import IPRoute

from glb.control.client import Client
from glb.control.http import HttpResponse, request
from glb.daemon.report import read_report
from glb.lab import Lab, hosts, netns
from glb.lab.process import LabDaemon, argv_in, end
from glb.network.namespaces import within
from glb.network.sockets import TcpState, count_sockets
from tests.conftest import unique_name
from tests.lab.helpers.commands import backend, facts, faults, glbctl, lookups, wait_until_agreed
from tests.lab.helpers.director import replace_text
from tests.lab.helpers.packets import endpoint, wait_for

DRAINED, FAILED, MAY_CUT, INTERRUPTED = 0, 1, 5, 130
BIND = f"{hosts.VIP4}:{hosts.HTTP_PORT}/tcp"
OTHER_PORTS = [(1, 79), (81, 65535)]
PROXY1, PROXY3 = "10.77.0.101", "10.77.0.103"


class Held:
    """Connections of clients to one proxy's web server, which stay open until they are closed."""

    def __init__(self, lab: Lab, proxy: str, number: int) -> None:
        self._sockets: list[socket.socket] = []
        for client in _clients_of(lab, proxy)[:number]:
            connection = lab.open_socket("client", socket.AF_INET, socket.SOCK_STREAM)
            connection.bind((client, 0))
            connection.settimeout(20)
            connection.connect((str(hosts.VIP4), hosts.HTTP_PORT))
            self._sockets.append(connection)
        assert self.answers() == [proxy] * number

    def answers(self) -> list[str]:
        """Send a request on each connection; return the proxies that answer."""
        return [_ask(connection) for connection in self._sockets]

    def close(self) -> None:
        for connection in self._sockets:
            connection.close()


@cache
def _clients_of(lab: Lab, proxy: str) -> list[str]:
    """Addresses whose connections go to the proxy while all are active, as they are at first."""
    clients = [hosts.client_address(4, 20_000 + offset) for offset in range(60)]
    flows = [(endpoint(client, 40_000), endpoint(hosts.VIP4, hosts.HTTP_PORT)) for client in clients]
    choices = lookups(lab, flows, "tcp")
    return [str(client) for client, made in zip(clients, choices, strict=True) if made and made.proxies[0] == proxy]


def _ask(connection: socket.socket) -> str:
    """An answer is small, so that it comes in one piece; its last line is the proxy's name."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: glb\r\n\r\n")
    answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 200 ")
    return answer.splitlines()[-1].decode()


@contextmanager
def held(lab: Lab, proxy: str, number: int) -> Iterator[Held]:
    connections = Held(lab, proxy, number)
    try:
        yield connections
    finally:
        connections.close()


def serves(lab: Lab, proxy: str) -> bool:
    """Whether new connections that are a proxy's come to it."""
    with suppress(AssertionError), held(lab, proxy, 1):
        return True
    return False


class Drain:
    """`glbctl backend drain web ADDRESS --wait`, or another verb, while it waits."""

    def __init__(self, lab: Lab, address: str, *options: str, verb: str = "drain") -> None:
        command = ["glbctl", "backend", verb, "web", address, "--wait", *options]
        self._process = subprocess.Popen(
            argv_in(lab.namespace("director1"), command),
            env=lab.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for_line(self, text: str) -> None:
        """Until a line with the text is shown."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if text in line:
                return
        raise AssertionError(f"ended without {text!r}: {self.finish()}")

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def is_waiting(self) -> bool:
        return self._process.poll() is None

    def finish(self) -> tuple[int, str, str]:
        """Exit status, and what it still had to say."""
        said, error = self._process.communicate(timeout=60)
        return self._process.returncode, said, error


def state_of(lab: Lab, address: str) -> str | None:
    """A backend's state as the director has it whose host the commands run on."""
    [table] = read_report(lab.run_dir / "director1.status.json").tables
    return table.backends.get(address)


def change(lab: Lab, verb: str, *options: str) -> subprocess.CompletedProcess[str]:
    """`glbctl backend VERB web PROXY1`, until all directors have loaded it."""
    done = glbctl(lab, "director1", "backend", verb, "web", PROXY1, *options)
    wait_until_agreed(lab)
    return done


def ask_agent(lab: Lab, host: str, address: str, path: str) -> HttpResponse:
    place = (address, 19523)
    return lab.within(host, lambda: request(socket.AF_INET, place, address, "GET", path, None, 20))


def counted(lab: Lab, address: str, bind: str = BIND) -> dict[str, int]:
    answer = ask_agent(lab, "director1", address, f"/v1/connections?bind={bind}")
    assert answer.status == 200, answer.content
    counts: dict[str, int] = json.loads(answer.content)["binds"][bind]
    return counts


@pytest.fixture
def _put_back(lab: Lab) -> Iterator[None]:
    yield
    if state_of(lab, PROXY1) is None:
        backend(lab, "fill", "proxy1")
    backend(lab, "activate", "proxy1")


@pytest.mark.usefixtures("_put_back")
def test_a_drain_waits_for_the_last_connection_and_removes(lab: Lab) -> None:
    with held(lab, "proxy1", 5) as connections:
        drain = Drain(lab, PROXY1, "--timeout", "60", "--then", "remove")
        drain.wait_for_line("5 of 5 connections left (5 established)")
        still_answering = connections.answers()
        state = state_of(lab, PROXY1)
        waiting = drain.is_waiting()
    status, said, error = drain.finish()

    assert (still_answering, state, waiting) == (["proxy1"] * 5, "draining", True)
    assert (status, error) == (DRAINED, "")
    assert "0 of 5 connections left" in said
    assert "draining -> removed" in said
    assert state_of(lab, PROXY1) is None


@pytest.mark.usefixtures("_put_back")
def test_the_json_of_a_drain_that_ends_with_inactive(lab: Lab) -> None:
    printed = facts(lab, "director1", "backend", "drain", "web", PROXY1, "--wait", "--then", "inactive")

    assert printed["tables"][0]["after"] == "draining"
    assert (printed["wait"]["drained"], printed["wait"]["connections"], printed["wait"]["error"]) == (True, 0, None)
    assert printed["then"]["tables"][0]["after"] == "inactive"


@pytest.mark.usefixtures("_put_back")
def test_a_drain_that_times_out_leaves_the_backend_draining(lab: Lab) -> None:
    with held(lab, "proxy1", 2) as connections:
        done = glbctl(
            lab, "director1", *("backend", "drain", "web", PROXY1, "--wait"), *("--timeout", "2", "--then", "remove")
        )
        answering = connections.answers()

    assert done.returncode == FAILED
    assert f"{PROXY1} stays draining in web; 2 connections left" in done.stderr
    assert (state_of(lab, PROXY1), answering) == ("draining", ["proxy1"] * 2)


@pytest.mark.usefixtures("_put_back")
def test_an_interrupted_drain_leaves_the_backend_draining(lab: Lab) -> None:
    with held(lab, "proxy1", 1) as connections:
        drain = Drain(lab, PROXY1, "--then", "remove")
        drain.wait_for_line("1 of 1 connections left")
        drain.interrupt()
        status, _, error = drain.finish()
        answering = connections.answers()

    assert status == INTERRUPTED
    assert f"interrupted: {PROXY1} stays draining in web; 1 connection left" in error
    assert (state_of(lab, PROXY1), answering) == ("draining", ["proxy1"])


@pytest.mark.usefixtures("_put_back")
@pytest.mark.parametrize("verb", ["remove", "deactivate"])
def test_changes_that_may_cut_are_refused_while_connected(lab: Lab, verb: str) -> None:
    before = lab.table_path.read_text()
    with held(lab, "proxy1", 3) as connections:
        change(lab, "drain")
        refused = change(lab, verb)
        planned = glbctl(lab, "director1", "table", "plan", without_proxy1(lab), "--detailed-exitcode")
        applied = glbctl(lab, "director1", "table", "apply", without_proxy1(lab))
        state, answering = state_of(lab, PROXY1), connections.answers()
    done = change(lab, verb)

    for each in (refused, applied):
        assert each.returncode == FAILED
        assert f"MAY CUT web: {PROXY1}" in " ".join(each.stdout.split())
        assert f"{PROXY1}: 3 connections left; nothing was changed (--wait waits until none is left)" in each.stderr
    assert planned.returncode == MAY_CUT
    assert (state, answering) == ("draining", ["proxy1"] * 3)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"{PROXY1}: no connections left (agent {PROXY1}:19523)" in done.stdout
    assert lab.table_path.read_text() != before


def without_proxy1(lab: Lab) -> str:
    """A table file like the lab's, without proxy1."""
    tables = json.loads(lab.table_path.read_text())
    [web] = tables["tables"]
    web["backends"] = [backend for backend in web["backends"] if backend["ip"] != PROXY1]
    path = lab.run_dir / "without-proxy1.json"
    path.write_text(json.dumps(tables))
    return str(path)


@pytest.mark.usefixtures("_put_back")
def test_a_removal_waits_for_the_last_connection(lab: Lab) -> None:
    with held(lab, "proxy1", 2):
        change(lab, "drain")
        late = change(lab, "remove", "--wait", "--timeout", "2")
        removal = Drain(lab, PROXY1, verb="remove")
        removal.wait_for_line("2 of 2 connections left")
        state = state_of(lab, PROXY1)
    status, said, error = removal.finish()

    assert late.returncode == FAILED
    assert f"{PROXY1}: 2 connections left; nothing was changed (timed out)" in late.stderr
    assert state == "draining"
    assert (status, error) == (DRAINED, "")
    assert "draining -> removed" in said


@pytest.mark.usefixtures("_put_back")
def test_a_silent_agent_proves_nothing(lab: Lab) -> None:
    change(lab, "drain")
    lab.stop("proxy1")
    try:
        refused = change(lab, "remove")
        state = str(state_of(lab, PROXY1))
        insisted = change(lab, "remove", "--may-cut")
    finally:
        lab.start_proxy("proxy1")

    assert refused.returncode == FAILED
    assert f"its number of connections is unknown: the proxy's agent at {PROXY1}:19523" in refused.stderr
    assert state.startswith("draining")
    assert insisted.returncode == 0


@pytest.mark.usefixtures("_put_back")
def test_a_drain_waits_for_a_director_without_a_daemon(lab: Lab) -> None:
    with held(lab, "proxy1", 2) as connections:
        drain = Drain(lab, PROXY1, "--then", "remove")
        drain.wait_for_line("2 of 2 connections left")
        wait_until_agreed(lab)
        lab.kill("director2")
        before = lab.table_path.read_text()
        attempts = (("remove", PROXY1), ("drain", PROXY3))
        refused = [glbctl(lab, "director1", "backend", verb, "web", address) for verb, address in attempts]
        unchanged = lab.table_path.read_text() == before
        connections.close()
        drain.wait_for_line("waiting for the daemon of director2")
        still = json.loads(lab.table_path.read_text()) == json.loads(before)
        lab.start_director("director2")
    status, said, error = drain.finish()

    for each in refused:
        assert each.returncode == FAILED, each.stdout
        assert "director2: its daemon (pid " in each.stderr
        assert "is not running, but its datapath is attached" in each.stderr
    assert (unchanged, still) == (True, True)
    assert (status, error) == (DRAINED, "")
    assert "draining -> removed" in said


@contextmanager
def with_table(lab: Lab, name: str, proto: str, port: int) -> Iterator[None]:
    """For the time of the block, there is a second table, of the same backends, with one bind."""
    before = lab.table_path.read_text()
    tables = json.loads(before)
    bind = {"ip": str(hosts.VIP4), "proto": proto, "port": port}
    tables["tables"].append({**tables["tables"][0], "name": name, "binds": [bind]})
    load(lab, json.dumps(tables))
    try:
        yield
    finally:
        load(lab, before)


def load(lab: Lab, text: str) -> None:
    replace_text(lab.table_path, text)
    for director in ("director1", "director2"):
        assert all(outcome["reloaded"] for outcome in Client(lab.run_dir / f"{director}.sock").post("/v1/reload"))


def test_a_drain_of_a_udp_table_does_not_wait(lab: Lab) -> None:
    with with_table(lab, "dns", "udp", 5353):
        done = glbctl(lab, "director1", *("backend", "drain", "dns", PROXY1, "--wait", "--then", "remove"))
        printed = facts(lab, "director1", "backend", "drain", "dns", PROXY3, "--wait")
        [web, dns] = read_report(lab.run_dir / "director1.status.json").tables

    assert (done.returncode, done.stderr) == (DRAINED, "")
    assert "nothing to wait for: dns has no tcp bind; udp datagrams follow the new rows at once" in " ".join(
        done.stdout.split()
    )
    assert f"dns: {PROXY1}: draining -> removed" in done.stdout
    assert (printed["wait"]["agent"], printed["wait"]["drained"], printed["wait"]["connections"]) == (None, True, 0)
    assert (dns.backends.get(PROXY1), dns.backends[PROXY3]) == (None, "draining")
    assert web.backends[PROXY1] == "active"


@pytest.mark.usefixtures("_put_back")
def test_a_drain_ends_when_another_user_activates_the_backend(lab: Lab) -> None:
    with held(lab, "proxy1", 2):
        drain = Drain(lab, PROXY1, "--then", "remove")
        drain.wait_for_line("2 of 2 connections left")
        backend(lab, "activate", "proxy1")
        status, _, error = drain.finish()

    assert status == FAILED
    assert f"another user changed the backend: web: {PROXY1} is active; 2 connections left" in error
    assert state_of(lab, PROXY1) == "active"


@pytest.mark.usefixtures("_put_back")
def test_a_drain_survives_a_killed_agent(lab: Lab) -> None:
    lab.kill("proxy1")
    with held(lab, "proxy1", 2) as connections:
        drain = Drain(lab, PROXY1)
        drain.wait_for_line(f"the proxy's agent at {PROXY1}:19523 cannot be reached")
        answering = connections.answers()
        lab.start_proxy("proxy1")
        drain.wait_for_line("2 of 2 connections left")
    status, _, error = drain.finish()

    assert answering == ["proxy1"] * 2
    assert (status, error) == (DRAINED, "")


def test_an_agent_counts_only_the_given_binds(lab: Lab) -> None:
    with held(lab, "proxy3", 3):
        here, other = counted(lab, PROXY3), counted(lab, PROXY3, f"{hosts.VIP4}:81-65535/tcp")
        network = counted(lab, PROXY3, f"{hosts.VIP_NET4}:1-100/tcp")

    assert (here["established"], network["established"], other) == (3, 3, {})


@pytest.mark.parametrize("query", ["bind=here", f"bind={hosts.VIP4}:53/udp", ""])
def test_an_agent_refuses_an_invalid_query(lab: Lab, query: str) -> None:
    refusal = ask_agent(lab, "director1", PROXY3, f"/v1/connections?{query}")

    assert refusal.status == 422
    assert isinstance(json.loads(refusal.content)["detail"], str)


def test_an_agent_reports_its_proxys_status(lab: Lab) -> None:
    printed = json.loads(ask_agent(lab, "director1", PROXY3, "/v1/status").content)

    assert (printed["role"], printed["interface"], printed["process"]["pid"]) == (
        "proxy",
        "proxy3",
        lab.process_id("proxy3").pid,
    )
    assert printed["packets"]["drop_bad_tunnel"] == 0
    assert printed["agent"] == [f"{PROXY3}:19523"]


@contextmanager
def configured(lab: Lab, folder: Path, **config: Any) -> Iterator[LabDaemon]:
    """proxy3 with a configuration file."""
    path = folder / "proxy.conf"
    path.write_text(json.dumps({"sources": ["10.77.0.0/24"]} | config))
    lab.stop("proxy3")
    command = ["glbctl", "proxy", "run", "--iface", "proxy3", "--config", str(path)]
    daemon = LabDaemon(lab.namespace("proxy3"), command, folder / "proxy.log", lab.env)
    try:
        daemon.wait_until_ready()
        yield daemon
    finally:
        end(daemon.id, signal.SIGTERM)
        lab.start_proxy("proxy3")


@contextmanager
def box(lab: Lab) -> Iterator[str]:
    """A container's network namespace with the VIP in it and two connections to it, of which one has been closed."""
    name = unique_name()
    netns.create(name)
    try:
        within(name, _bring_up_the_vip)
        with _sockets_in(name):
            yield name
    finally:
        netns.remove(name)


def _bring_up_the_vip() -> None:
    with IPRoute() as ip:
        ip.link("set", index=1, state="up")
        ip.addr("add", index=1, address=str(hosts.VIP4), prefixlen=32)


@contextmanager
def _sockets_in(name: str) -> Iterator[None]:
    vip = (str(hosts.VIP4), hosts.HTTP_PORT)
    listener = within(name, lambda: socket.create_server(vip))
    clients = [within(name, lambda: socket.create_connection(vip)) for _ in range(2)]
    servers = [listener.accept()[0] for _ in clients]
    clients[1].close()
    states = {TcpState.ESTABLISHED, TcpState.FIN_WAIT2}
    wait_for(lambda: {e.state for e in count_sockets(OTHER_PORTS, name)} == states, "the close is acknowledged")
    try:
        yield
    finally:
        for each in (listener, *clients, *servers):
            each.close()


def agent_answers(lab: Lab, address: str) -> bool:
    with suppress(OSError):
        ask_agent(lab, "director1", address, "/v1/status")
        return True
    return False


def test_a_containers_connections_are_counted(lab: Lab, tmp_path: Path) -> None:
    with box(lab) as name, configured(lab, tmp_path, namespaces=[name]):
        wait_for(lambda: agent_answers(lab, PROXY3), "the agent answers")
        counts = counted(lab, PROXY3)

    assert counts == {"established": 1, "close_wait": 1}


def test_an_agent_serves_its_sources_on_the_configured_port(lab: Lab, tmp_path: Path) -> None:
    with configured(lab, tmp_path):
        wait_for(lambda: agent_answers(lab, PROXY3), "the agent answers")
        answer = ask_agent(lab, "director1", PROXY3, "/v1/status")
        with pytest.raises(ConnectionResetError):
            ask_agent(lab, "client", PROXY3, "/v1/status")

    assert answer.status == 200


def test_an_agent_waits_for_its_port_while_the_proxy_works(lab: Lab) -> None:
    lab.stop("proxy3")
    taken = lab.within("proxy3", lambda: socket.create_server((PROXY3, 19523)))
    try:
        lab.start_proxy("proxy3")
        wait_for(lambda: "the agent is not available" in lab.log("proxy3"), "the agent cannot have its port")
        wait_for(lambda: ("agent", "warning") in faults(lab, "proxy3"), "the doctor knows it")
        wait_for(lambda: serves(lab, "proxy3"), "the directors have found proxy3 healthy again, and it works")
    finally:
        taken.close()
    wait_for(lambda: agent_answers(lab, PROXY3), "the agent answers")


def test_the_kernel_lists_the_sockets_of_the_given_ports(lab: Lab) -> None:
    with box(lab) as name:
        on_80 = count_sockets([(80, 80)], name)
        others = count_sockets(OTHER_PORTS, name)
        nowhere = count_sockets([(1, 22), (443, 443), (8000, 9000)], name)

    assert {(str(e.address), e.port, e.state): n for e, n in on_80.items()} == {
        (str(hosts.VIP4), 80, TcpState.ESTABLISHED): 1,
        (str(hosts.VIP4), 80, TcpState.CLOSE_WAIT): 1,
    }
    assert sorted(e.state for e in others) == [TcpState.ESTABLISHED, TcpState.FIN_WAIT2]
    assert nowhere == {}
