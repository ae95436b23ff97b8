# SPDX-License-Identifier: MIT
"""Checks of the host's kernel. Pure: facts in, findings out."""

from collections.abc import Iterator

from glb.doctor.facts import HostFacts
from glb.doctor.finding import Finding, Level

_HOST = "host"
_OLDEST_KERNEL = (5, 18)  # BPF_F_XDP_HAS_FRAGS


def judge_host(facts: HostFacts) -> Iterator[Finding]:
    yield _kernel(facts)
    yield _jit(facts)
    yield _bpffs(facts)
    yield _btf(facts)


def _kernel(facts: HostFacts) -> Finding:
    release = "{}.{}".format(*facts.release)
    if facts.release >= _OLDEST_KERNEL:
        return Finding(_HOST, "kernel", Level.OK, f"Linux {release}")
    return Finding(
        _HOST,
        "kernel",
        Level.ERROR,
        f"Linux {release} cannot load XDP programs for frames in several buffers",
        "install Linux 5.18 or newer, such as Debian 12's",
    )


def _jit(facts: HostFacts) -> Finding:
    if facts.jit is not False:
        return Finding(_HOST, "jit", Level.OK, "BPF programs are compiled")
    return Finding(
        _HOST,
        "jit",
        Level.WARNING,
        "BPF programs are interpreted, which is several times slower",
        "sysctl net.core.bpf_jit_enable=1",
    )


def _bpffs(facts: HostFacts) -> Finding:
    if facts.bpffs:
        return Finding(_HOST, "bpffs", Level.OK, "/sys/fs/bpf is mounted")
    return Finding(
        _HOST,
        "bpffs",
        Level.WARNING,
        "no BPF file system on /sys/fs/bpf; a daemon mounts it at its start if permitted",
        "mount -t bpf bpf /sys/fs/bpf",
    )


def _btf(facts: HostFacts) -> Finding:
    if facts.btf:
        return Finding(_HOST, "btf", Level.OK, "the kernel provides BTF")
    return Finding(
        _HOST,
        "btf",
        Level.WARNING,
        "no /sys/kernel/btf/vmlinux: a proxy cannot start here (a director can)",
        "install a kernel with CONFIG_DEBUG_INFO_BTF, such as Debian's",
    )
