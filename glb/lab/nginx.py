# SPDX-License-Identifier: MIT
"""The configuration of a proxy's web server: nginx, which names its proxy in each answer and limits speed on request.

It is a single process, so a signal to the process stops the server. All its files are in the lab's folder; the
system's nginx and its configuration are not touched.
"""

from pathlib import Path

from glb.lab.hosts import HTTP_PORT

NGINX = "/usr/sbin/nginx"

_CONFIGURATION = """\
# The web server of {proxy} in the lab.
daemon off;
master_process off;
user root;
pid {folder}/{proxy}-nginx.pid;
error_log stderr notice;

events {{ worker_connections 4096; }}

http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    client_body_temp_path {temporary};
    proxy_temp_path {temporary};
    fastcgi_temp_path {temporary};
    uwsgi_temp_path {temporary};
    scgi_temp_path {temporary};
    add_header X-Proxy {proxy} always;

    server {{
        listen {port} backlog=4096;
        listen [::]:{port} ipv6only=on backlog=4096;

        location = / {{
            default_type text/plain;
            return {status} "{proxy}\\n";
        }}
        location /files/ {{
            root {folder}/www;
            limit_rate $arg_rate;
        }}
    }}
}}
"""


def configuration(proxy: str, folder: Path, port: int = HTTP_PORT, status: int = 200) -> str:
    """status: the HTTP status with which "/" is answered."""
    return _CONFIGURATION.format(
        proxy=proxy, folder=folder, temporary=folder / f"{proxy}-nginx-temporary", port=port, status=status
    )


def argv(configuration_path: Path) -> list[str]:
    return [NGINX, "-e", "stderr", "-c", str(configuration_path)]
