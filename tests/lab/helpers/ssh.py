# SPDX-License-Identifier: MIT
"""OpenSSH on the lab's hosts: a real server in each namespace, with keys and configuration of its own."""

import shlex
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from glb.daemon.process import ProcessId
from glb.lab import Lab
from glb.lab.process import LabProgram, end

PORT = 22
COMMANDS = "/usr/bin:/bin"
_PRIVILEGE_SEPARATION = Path("/run/sshd")  # which Debian's service makes at its start


class Ssh:
    """Servers on hosts of a lab, and a client's configuration that knows them by their names."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._programs: dict[str, LabProgram] = {}
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        for name in ("host_key", "user_key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "known_hosts").write_text(f"* {(folder / 'host_key.pub').read_text()}")
        self._config = folder / "ssh_config"
        self._config.write_text(
            f"IdentityFile {folder}/user_key\nIdentitiesOnly yes\nUser root\n"
            f"UserKnownHostsFile {folder}/known_hosts\nStrictHostKeyChecking yes\n"
        )

    @property
    def command(self) -> str:
        """ssh with this configuration, and no other."""
        return shlex.join(["ssh", "-F", str(self._config)])

    def start(self, host: str, env: Mapping[str, str]) -> None:
        """Start a server on a host. env: what commands run with there."""
        settings = self._folder / f"{host}.sshd_config"
        settings.write_text(
            f"Port {PORT}\nHostKey {self._folder}/host_key\nAuthorizedKeysFile {self._folder}/user_key.pub\n"
            "StrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\nUsePAM yes\nPidFile none\n"
            f"SetEnv {' '.join(f'{name}={value}' for name, value in env.items())}\n"
        )
        command = ["/usr/sbin/sshd", "-D", "-e", "-f", str(settings)]
        program = LabProgram(self._lab.namespace(host), command, self._folder / f"{host}.log", self._lab.env)
        self._programs[host] = program
        program.wait_until_listening(PORT)
        self.name(host, str(self._lab.host(host).addresses[0].ip))

    def name(self, host: str, address: str, port: int = PORT) -> None:
        """Let the client know a host."""
        with self._config.open("a") as config:
            config.write(f"Host {host}\nHostName {address}\nPort {port}\n")

    def disconnect(self, host: str) -> None:
        """Cut all connections to a host's server: it lives on."""
        server = self._programs[host].id.pid
        for session in Path(f"/proc/{server}/task/{server}/children").read_text().split():
            end(ProcessId.of(int(session)), signal.SIGKILL)

    def stop(self) -> None:
        for program in self._programs.values():
            end(program.id, signal.SIGKILL)


@contextmanager
def serving(lab: Lab, folder: Path) -> Iterator[Ssh]:
    """Servers on all hosts with a datapath; what is run there sees that of its own host, and no other."""
    ssh = Ssh(lab, folder)
    try:
        for host in (*lab.directors, *lab.proxies):
            ssh.start(host.name, own_view(lab, host.name, folder))
        yield ssh
    finally:
        ssh.stop()


def own_view(lab: Lab, host: str, folder: Path) -> dict[str, str]:
    """The environment in which a host's pins are those of its own interface: elsewhere in the lab, all hosts' are."""
    pins = folder / f"pins-{host}"
    pins.mkdir(exist_ok=True)
    pin = pins / host
    if not pin.is_symlink():
        pin.symlink_to(lab.pin_dir / host)
    names = ("GLB_RUN_DIR", "GLB_STATE_DIR", "PATH")
    return {name: lab.env[name] for name in names} | {"GLB_PIN_DIR": str(pins)}


def no_view(lab: Lab, folder: Path) -> dict[str, str]:
    """The environment of a host without a datapath, such as an operator's."""
    return lab.env | {"GLB_PIN_DIR": str(folder / "no-pins")}
