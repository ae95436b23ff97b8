# SPDX-License-Identifier: MIT
"""The BGP daemons of the lab's router: BIRD, or three of FRR."""

import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from glb.daemon.process import ProcessId
from glb.errors import LabError
from glb.lab import process, routing
from glb.lab.hosts import ROUTER, LabHost
from glb.lab.paths import environment, log_path, namespace, run_dir
from glb.lab.process import LabProgram
from glb.lab.routing import LabRouter, LabRouting

_BGP_PORT = 179
_FRR = Path("/usr/lib/frr")
_ZEBRA = "zebra.api"


def programs(kind: LabRouter) -> tuple[str, ...]:
    """The router's programs in the order in which they are started; "bird" or "bgpd" speaks BGP."""
    return ("bird",) if kind is LabRouter.BIRD else ("zebra", "bfdd", "bgpd")


def start(lab: str, directors: Sequence[LabHost], how: LabRouting, *, again: bool = False) -> dict[str, ProcessId]:
    """Start the router's programs, and wait until it takes BGP sessions. Returns them by name.

    `again`: after a restart, with the routes that are still in the kernel (graceful restart, RFC 4724).
    Raises LabError if one does not start.
    """
    _write(lab, directors, how)
    started: dict[str, ProcessId] = {}
    for name in programs(how.router):
        program = _start(lab, name, again)
        if name == "zebra":  # the others try to connect once, and again only after 10 seconds
            program.wait_until_accepting(run_dir(lab) / "frr" / _ZEBRA)
        started[name] = program.id
    program.wait_until_listening(_BGP_PORT)
    return started


def kill(running: Mapping[str, ProcessId]) -> None:
    """Kill the programs, so that they neither notify their neighbours nor withdraw routes."""
    for identity in running.values():
        process.end(identity, signal.SIGKILL)


def reconfigure(lab: str, directors: Sequence[LabHost], how: LabRouting) -> None:
    """Configure the router for other directors; existing sessions stay. Raises LabError."""
    _write(lab, directors, how)
    folder = run_dir(lab)
    if how.router is LabRouter.BIRD:
        command = ["birdc", "-s", str(folder / "router.ctl"), "configure"]
    else:
        command = ["vtysh", "--vty_socket", str(folder / "frr"), "-f", str(folder / "frr" / "frr.conf")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"`{' '.join(command)}` fails: {done.stderr or done.stdout}")


def _write(lab: str, directors: Sequence[LabHost], how: LabRouting) -> None:
    folder = run_dir(lab)
    log = log_path(lab, ROUTER.name, "bird")
    if how.router is LabRouter.BIRD:
        (folder / "router.conf").write_text(routing.bird(directors, how, str(log)))
    else:
        _frr_folder(folder)
        (folder / "frr" / "frr.conf").write_text(routing.frr(directors, how))


def _start(lab: str, program: str, again: bool) -> LabProgram:
    folder = run_dir(lab)
    argv = _bird(folder, again) if program == "bird" else _frr(program, folder / "frr")
    if shutil.which(argv[0]) is None:
        raise LabError(f"{argv[0]} is not installed: `script/install --dev` installs it")
    return LabProgram(namespace(lab, ROUTER.name), argv, log_path(lab, ROUTER.name, program), environment(lab))


def _bird(folder: Path, again: bool) -> list[str]:
    recovery = ["-R"] if again else []
    return ["bird", "-f", "-c", str(folder / "router.conf"), "-s", str(folder / "router.ctl"), *recovery]


def _frr_folder(folder: Path) -> None:
    """FRR's daemons need a folder that their own user owns."""
    try:
        owner = pwd.getpwnam("frr")
    except KeyError:
        raise LabError("FRR is not installed: `script/install --dev` installs it") from None
    (folder / "frr").mkdir(exist_ok=True)
    os.chown(folder / "frr", owner.pw_uid, owner.pw_gid)


def _frr(program: str, folder: Path) -> list[str]:
    """The daemons use sockets in the lab's folder, separate from other labs and from the host's FRR."""
    own = {
        "zebra": ["--graceful_restart", "30"],
        "bfdd": ["--bfdctl", str(folder / "bfdd.sock")],
        "bgpd": [],
    }
    common = ["--socket", str(folder / _ZEBRA)]
    files = ["--pid_file", str(folder / f"{program}.pid"), "--vty_socket", str(folder), "--vty_port", "0"]
    return [str(_FRR / program), *common, *files, "--config_file", str(folder / "frr.conf"), *own[program]]
