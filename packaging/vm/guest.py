# SPDX-License-Identifier: MIT
"""What `script/vm-check` does inside its virtual machine, where systemd runs the units as pid 1.

The unit vm-check.service starts it at each boot; a file says which part comes next. Each check is one line on the
second serial port: "RESULT name<TAB>ok or FAILED<TAB>what was seen". Standard library only.
"""

import json
import os
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HOME = Path("/usr/lib/vm-check")
PHASE = Path("/var/lib/vm-check.phase")
PINS = Path("/sys/fs/bpf/glb")
DIRECTORS = ("glb-director@d1", "glb-director@d2")
PROXY = "glb-proxy@p1"
UNITS = (*DIRECTORS, PROXY)
PACKAGES = ("glb-common", "glb-director", "glb-proxy")
VIP = "203.0.113.10"
START_SECONDS = 600.0  # an emulated processor is some twenty times as slow as a real one
SETTLE_SECONDS = 10.0


def say(line: str) -> None:
    with Path("/dev/ttyS1").open("w") as port:
        port.write(line + "\n")


def report(name: str, ok: bool, seen: str) -> None:
    say(f"RESULT {name}\t{'ok' if ok else 'FAILED'}\t{seen}")


@contextmanager
def check(name: str) -> Iterator[list[str]]:
    """One line of the table: ok if the block does not raise; what was seen is what it appends to the list."""
    seen: list[str] = []
    try:
        yield seen
    except Exception as error:
        for line in traceback.format_exc().splitlines():
            say(f"LOG {line}")
        report(name, False, "; ".join([*seen, str(error).splitlines()[0] if str(error) else repr(error)]))
        show_logs()
    else:
        report(name, True, "; ".join(seen))


def show_logs() -> None:
    lines = run("journalctl", "--boot", "--unit=glb-*", "--lines=40", "--no-pager", "--output=short-monotonic", ok=None)
    for line in lines.splitlines():
        say(f"LOG {line}")


def run(*argv: str, ok: int | None = 0, seconds: float = START_SECONDS) -> str:
    """The output of a command; an error if it ends with another status than `ok` (None: any)."""
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=seconds)
    if ok is not None and done.returncode != ok:
        raise RuntimeError(f"{' '.join(argv)}: status {done.returncode}: {(done.stderr or done.stdout).strip()}")
    return done.stdout + done.stderr


def wait_until(what: str, holds: Callable[[], bool], seconds: float = START_SECONDS) -> float:
    """The seconds that it took."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > seconds:
            raise RuntimeError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.5)
    return time.monotonic() - began


def is_active(unit: str) -> bool:
    return run("systemctl", "is-active", unit, ok=None).strip() == "active"


def property_of(unit: str, name: str) -> str:
    return run("systemctl", "show", f"--property={name}", "--value", unit).strip()


def log_of(unit: str, since: float) -> str:
    return run("journalctl", f"--unit={unit}", f"--since=@{since:.0f}", "--output=cat", "--no-pager")


def next_hops() -> list[str]:
    """The directors that the router has a route to the VIP by."""
    routes = json.loads(run("ip", "-n", "router", "-json", "route", "show", f"{VIP}/32") or "[]")
    hops = [hop["gateway"] for route in routes for hop in route.get("nexthops", [route]) if "gateway" in hop]
    return sorted(hops)


def all_announced() -> bool:
    return next_hops() == ["10.77.0.1", "10.77.0.2"]


def is_attached(interface: str) -> bool:
    return (PINS / interface / "link").exists()


def wait_for_service() -> float:
    """Until all units are active and both directors get traffic."""
    return wait_until("the units are active", lambda: all(map(is_active, UNITS))) + wait_until("BGP", all_announced)


@contextmanager
def traffic() -> Iterator[dict[str, object]]:
    """Datagrams and a connection to the VIP, from before the block until after it; the dictionary has what was counted
    once the block has ended."""
    file = Path("/run/vm-traffic.json")
    file.unlink(missing_ok=True)
    counted: dict[str, object] = {}
    argv = ["ip", "netns", "exec", "client", sys.executable, str(HOME / "traffic.py"), "send", str(file)]
    sender = subprocess.Popen(argv)
    time.sleep(SETTLE_SECONDS)
    try:
        yield counted
        time.sleep(SETTLE_SECONDS)
    finally:
        sender.terminate()
        sender.wait(60)
    counted.update(json.loads(file.read_text()))


def judge(counted: dict[str, object], seen: list[str]) -> None:
    """Nothing may be lost, and the connection may not be cut."""
    seen.append(f"{counted['lost']} of {counted['sent']} packets lost, slowest {counted['slowest_ms']} ms")
    if counted["lost"] or counted["cut"]:
        raise RuntimeError(f"connection cut: {counted['cut']}" if counted["cut"] else "packets were lost")


def wait_for_loads(since: float, number: int) -> None:
    wait_until(
        "both directors load", lambda: all(log_of(unit, since).count("loaded (") >= number for unit in DIRECTORS)
    )


def upgrade() -> None:
    debs = [str(path) for path in sorted((HOME / "newer").glob("*.deb"))]
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    run("apt-get", "install", "--yes", "--no-install-recommends", *debs)


def first_boot() -> None:
    with check("install") as seen:
        seen.append(f"glb {run('dpkg-query', '--show', '--showformat=${Version}', 'glb-common')}")
        units = run("systemctl", "list-units", "--all", "--no-legend", "glb-*").strip()
        if units or PINS.exists():
            raise RuntimeError(f"something runs that is not configured: {units or PINS}")
        seen.append("nothing runs that is not configured")
    with check("start") as seen:
        for file in (HOME / "etc").iterdir():
            target = Path("/etc/glb") / file.name
            target.parent.mkdir(exist_ok=True)
            target.write_text(file.read_text())
        for user, group in (("viewer", "glb"), ("admin", "glb-admin"), ("other", "nogroup")):
            run("useradd", "--groups", group, user)
        began = time.monotonic()
        run("systemctl", "enable", "--now", *UNITS)
        wait_for_service()
        seen.append(f"all units active, VIP announced, after {time.monotonic() - began:.0f} s")


def second_boot() -> None:
    with check("reboot") as seen:
        wait_for_service()
        seen.append(
            f"all units active, VIP announced, {float(Path('/proc/uptime').read_text().split()[0]):.0f} s after boot"
        )
        with traffic() as counted:
            pass
        judge(counted, seen)
    with check("restart") as seen, traffic_judged(seen):
        pids = [property_of(unit, "MainPID") for unit in UNITS]
        run("systemctl", "restart", *UNITS)
        wait_for_service()
        if not set(pids).isdisjoint(property_of(unit, "MainPID") for unit in UNITS):
            raise RuntimeError("a daemon was not restarted")
        seen.append("both directors and the proxy")
    with check("reload") as seen, traffic_judged(seen):
        table = Path("/etc/glb/forwarding_table.json")
        since, good = time.time(), table.read_text()
        table.write_text(good.replace('"name": "web"', '"name": "web2"'))
        run("systemctl", "reload", *UNITS)
        wait_for_loads(since, 1)
        table.write_text(good)
        run("systemctl", "reload", *UNITS)
        wait_for_loads(since, 2)
        seen.append("a table renamed, and renamed back")
    with check("kill -9") as seen, traffic_judged(seen):
        pids = [property_of(unit, "MainPID") for unit in UNITS]
        run("kill", "-9", *pids)
        wait_until("the daemons are gone", lambda: not any(map(is_active, UNITS)), 30)
        seen.append("forwarding continues")
        wait_for_service()
        restarts = [property_of(unit, "NRestarts") for unit in UNITS]
        seen.append(f"started again {'+'.join(restarts)} times")
    with check("watchdog") as seen, traffic_judged(seen):
        unit, since = DIRECTORS[0], time.time()
        pid = property_of(unit, "MainPID")
        run("kill", "-STOP", pid)
        seconds = wait_until("the watchdog acts", lambda: property_of(unit, "MainPID") not in (pid, "0"), 180)
        if "watchdog timeout" not in log_of(unit, since).lower():
            raise RuntimeError("the log does not mention the watchdog")
        seen.append(f"a stopped daemon is ended and started again after {seconds:.0f} s")
        wait_for_service()
    with check("stop") as seen, traffic_judged(seen):
        unit, since = DIRECTORS[0], time.time()
        began = time.monotonic()
        run("systemctl", "stop", unit)
        seconds = time.monotonic() - began
        log = log_of(unit, since)
        for line in ("routing: graceful shutdown of", "routing: drained in", "detached"):
            if line not in log:
                raise RuntimeError(f"the log has no line {line!r}")
        if is_attached("d1") or next_hops() != ["10.77.0.2"]:
            raise RuntimeError(f"attached: {is_attached('d1')}; routes by {next_hops()}")
        seen.append(f"VIP withdrawn gracefully and detached in {seconds:.0f} s; director2 has the traffic")
    with check("start again") as seen, traffic_judged(seen):
        run("systemctl", "start", DIRECTORS[0])
        wait_for_service()
    with check("upgrade") as seen, traffic_judged(seen):
        pids = [property_of(unit, "MainPID") for unit in UNITS]
        before = run("dpkg-query", "--show", "--showformat=${Version}", "glb-common")
        upgrade()
        after = run("dpkg-query", "--show", "--showformat=${Version}", "glb-common")
        wait_for_service()
        if before == after or not set(pids).isdisjoint(property_of(unit, "MainPID") for unit in UNITS):
            raise RuntimeError(f"{before} -> {after}: a daemon was not restarted")
        seen.append(f"{before} -> {after}")
    groups()
    rights()
    purge()


@contextmanager
def traffic_judged(seen: list[str]) -> Iterator[None]:
    with traffic() as counted:
        yield
    judge(counted, seen)


def as_user(user: str, *argv: str, ok: int | None = 0) -> str:
    return run("runuser", "--user", user, "--", *argv, ok=ok)


def groups() -> None:
    with check("group glb") as seen:
        if "encapsulated" not in as_user("viewer", "glbctl", "stats"):
            raise RuntimeError("glbctl stats shows no packets")
        as_user("viewer", "glbctl", "director", "status")
        as_user("viewer", "glbctl", "proxy", "status")
        as_user("viewer", "glbctl", "top", "--once")
        refused = as_user("viewer", "glbctl", "director", "drain", "--iface=d1", "--timeout=1", ok=1)
        if "glb-admin" not in refused:
            raise RuntimeError(refused)
        seen.append("stats, top, status; may not change")
    with check("group glb-admin") as seen:
        as_user("admin", "glbctl", "director", "announce", "--iface=d1")
        seen.append("may change")
    with check("other users") as seen:
        refused = as_user("other", "glbctl", "stats", ok=1)
        seen.append(refused.strip().splitlines()[-1])


def rights() -> None:
    with check("security") as seen:
        for unit in ("glb-director@d1", "glb-proxy@p1"):
            text = run("systemd-analyze", "security", "--no-pager", "--threshold=40", f"{unit}.service")
            score = re.search(r"exposure level for \S+: (\S+)", text)
            seen.append(f"{unit} {score.group(1) if score else text}")
            seen.append(capabilities(property_of(unit, "MainPID")))


def capabilities(pid: str) -> str:
    """The effective capabilities of a process, in hex, as the kernel shows them."""
    return re.findall(r"CapEff:\s*0*(\w+)", Path(f"/proc/{pid}/status").read_text())[0]


def purge() -> None:
    with check("purge") as seen:
        run("apt-get", "purge", "--yes", *PACKAGES)
        places = ["/etc/glb", "/var/lib/glb", "/var/cache/glb", "/run/glb", "/usr/lib/glb", str(PINS)]
        left = [place for place in places if Path(place).exists()]
        left += [line for line in run("ip", "-details", "link").splitlines() if "prog/xdp" in line]
        left += re.findall(r"(?m)^glb[^:]*", Path("/etc/group").read_text())
        left += run("systemctl", "list-units", "--all", "--plain", "--no-legend", "glb-*").split()[:1]
        if left:
            raise RuntimeError(f"left: {', '.join(left)}")
        seen.append("nothing is left")


PHASES: Sequence[Callable[[], None]] = (first_boot, second_boot)


def main() -> None:
    number = int(PHASE.read_text()) if PHASE.exists() else 0
    try:
        PHASES[number]()
    except Exception as error:
        report(PHASES[number].__name__, False, repr(error))
    PHASE.write_text(str(number + 1))
    if number + 1 < len(PHASES):
        run("systemctl", "reboot")
    else:
        say("END")
        run("systemctl", "poweroff")


if __name__ == "__main__":
    main()
