# SPDX-License-Identifier: MIT
"""Whose program is on an interface: a daemon finds its own by what the kernel holds, whatever is pinned where."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from glb.daemon.process import ProcessId
from glb.daemon.report import Report, local_reports
from glb.datapath.attachment import Attachment
from glb.datapath.foreign_program import describe_foreign_program, role_of
from glb.datapath.pins import BPFFS, PinDir, mount_bpffs
from glb.datapath.proxy import ProxyDatapath
from glb.errors import DatapathError, LockError
from glb.network.interface import Interface, find_interface
from tests.lab.helpers.packets import wait_for

BEFORE, AFTER = f"glb{os.getpid()}a", f"glb{os.getpid()}b"


@pytest.fixture(scope="module")
def proxy() -> Iterator[ProxyDatapath]:
    with closing(ProxyDatapath.load()) as datapath:
        yield datapath


@pytest.fixture
def pins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A directory of pins, and one of locks, of the test's own."""
    mount_bpffs()
    root = BPFFS / f"glb-test-{os.getpid()}"
    monkeypatch.setenv("GLB_PIN_DIR", str(root))
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path))
    yield root
    for path in sorted(root.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    root.rmdir()


@pytest.fixture
def interface(pins: Path) -> Iterator[Interface]:
    """An Ethernet interface that leads nowhere."""
    with IPRoute() as ip:
        ip.link("add", ifname=BEFORE, kind="veth", peer={"ifname": f"{BEFORE}p"})
        yield find_interface(BEFORE)
        for name in (BEFORE, AFTER):
            for index in ip.link_lookup(ifname=name):
                ip.link("del", index=index)


def rename(interface: Interface) -> Interface:
    with IPRoute() as ip:
        ip.link("set", index=interface.index, ifname=AFTER)
    return find_interface(AFTER)


def test_a_program_is_adopted_after_a_crash_and_a_rename(
    interface: Interface, pins: Path, proxy: ProxyDatapath
) -> None:
    crashed = Attachment(interface)
    crashed.put(proxy.program)
    crashed.leave()

    after = Attachment(rename(interface))
    running = after.running_program()

    assert running is not None
    assert role_of(running) == "proxy"
    os.close(running)
    assert not (pins / BEFORE).exists()
    assert {"link", "program"} <= {path.name for path in (pins / AFTER).iterdir()}
    after.remove()
    assert describe_foreign_program(find_interface(AFTER)) is None


def test_a_running_daemon_keeps_a_renamed_interface(interface: Interface, pins: Path, proxy: ProxyDatapath) -> None:
    running = Attachment(interface)
    running.put(proxy.program)
    renamed = rename(interface)

    with pytest.raises(DatapathError, match=f"{BEFORE} already has a running glb daemon"):
        Attachment(renamed)

    assert (pins / BEFORE / "link").exists()
    running.remove()


def test_removal_of_a_glb_program_is_never_suggested(
    interface: Interface, proxy: ProxyDatapath, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    there = Attachment(interface)
    there.put(proxy.program)
    elsewhere = BPFFS / f"glb-test-{os.getpid()}-elsewhere"
    with monkeypatch.context() as patch:
        patch.setenv("GLB_PIN_DIR", str(elsewhere))
        patch.setenv("GLB_RUN_DIR", str(tmp_path / "elsewhere"))
        with pytest.raises(DatapathError) as caught:
            Attachment(interface)
    elsewhere.rmdir()

    assert f"{BEFORE} already has a proxy of glb" in str(caught.value)
    assert "removes it" not in str(caught.value)
    there.remove()


def test_interfaces_of_one_name_do_not_share_a_run_directory(pins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = PinDir("eth0")
    elsewhere = BPFFS / f"glb-test-{os.getpid()}-elsewhere"
    with monkeypatch.context() as patch:
        patch.setenv("GLB_PIN_DIR", str(elsewhere))
        with pytest.raises(DatapathError, match=rf"pid {os.getpid()}.*another network namespace.*GLB_RUN_DIR"):
            PinDir("eth0")
    first.release()

    (elsewhere / "eth0").rmdir()
    elsewhere.rmdir()
    PinDir("eth0").release()


def test_a_run_directory_that_cannot_be_made_is_named(
    pins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path / "file" / "run"))

    with pytest.raises(LockError, match=rf"{tmp_path}/file/.*cannot be locked: Not a directory"):
        PinDir("eth0")


def test_pins_of_another_namespace_are_not_used(interface: Interface, pins: Path, proxy: ProxyDatapath) -> None:
    there = Attachment(interface)
    there.put(proxy.program)
    there.leave()
    (pins / BEFORE).rename(pins / f"{BEFORE}p")

    with pytest.raises(DatapathError, match=r"datapath on another interface \(index .*GLB_PIN_DIR"):
        Attachment(find_interface(f"{BEFORE}p"))

    assert describe_foreign_program(interface) is not None
    assert (pins / f"{BEFORE}p" / "link").exists()


def test_a_daemon_of_another_namespace_is_not_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path))
    with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as other:
        wait_for(lambda: not Path(f"/proc/{other.pid}/ns/net").samefile("/proc/self/ns/net"), "a namespace")
        theirs = Report("director", "eth0", ProcessId.of(other.pid), "")
        ours = Report("director", "eth1", ProcessId.own(), "")
        for report in (theirs, ours):
            report.write()

        assert local_reports() == [ours]
        other.kill()
    assert local_reports() == [theirs, ours]
