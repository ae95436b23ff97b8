# SPDX-License-Identifier: MIT
"""The load balancers that glb is compared with: the same lab, the same web server, Debian's packages as they come."""

from pathlib import Path

from glb.lab import hosts

STREAM_PORT = 8080
HAPROXY_PORT = 8081

_NGINX = """\
daemon off;
user root;
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
pid {folder}/stream.pid;
error_log stderr warn;
worker_processes auto;
events {{ worker_connections 4096; }}
stream {{
    server {{
        listen {port} backlog=4096;
        listen [::]:{port} ipv6only=on backlog=4096;
        proxy_pass {server}:{server_port};
    }}
}}
"""

_HAPROXY = """\
global
    maxconn 4096
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
listen web
    bind 0.0.0.0:{port} backlog 4096
    bind [::]:{port} v6only backlog 4096
    server proxy {server}:{server_port}
"""


def stream_argv(folder: Path, server: hosts.LabHost) -> list[str]:
    """nginx's stream proxy, a worker for each CPU."""
    configuration = folder / "bench-stream.conf"
    configuration.write_text(_fill(_NGINX, folder, STREAM_PORT, server))
    return ["/usr/sbin/nginx", "-e", "stderr", "-c", str(configuration)]


def haproxy_argv(folder: Path, server: hosts.LabHost) -> list[str]:
    """HAProxy in TCP mode, a thread for each CPU."""
    configuration = folder / "bench-haproxy.cfg"
    configuration.write_text(_fill(_HAPROXY, folder, HAPROXY_PORT, server))
    return ["/usr/sbin/haproxy", "-db", "-f", str(configuration)]


def _fill(template: str, folder: Path, port: int, server: hosts.LabHost) -> str:
    assert server.ipv4 is not None
    return template.format(folder=folder, port=port, server=server.ipv4.ip, server_port=hosts.HTTP_PORT)
