# SPDX-License-Identifier: MIT
"""The sockets of a host, as its kernel lists them in /proc/net/tcp and tcp6."""

from pathlib import Path

from glb.lab import Lab, hosts

ESTABLISHED = "01"
SYN_RECEIVED = "03"
TIME_WAIT = "06"
LISTEN = "0A"


def client_sockets(lab: Lab, proxy: str, family: int) -> list[tuple[str, str]]:
    """Remote end and state of each socket of the web server that is not a listener."""
    name = "tcp" if family == 4 else "tcp6"
    lines = lab.within(proxy, lambda: Path("/proc/thread-self/net", name).read_text()).splitlines()[1:]
    sockets = (line.split()[1:4] for line in lines)
    port = f":{hosts.HTTP_PORT:04X}"
    return [(remote, state) for local, remote, state in sockets if local.endswith(port) and state != LISTEN]


def connections(lab: Lab, proxy: str) -> int:
    """How many connections of clients a proxy serves, or is about to: TIME-WAIT does not count."""
    return sum(state != TIME_WAIT for family in (4, 6) for _, state in client_sockets(lab, proxy, family))
