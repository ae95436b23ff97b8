# SPDX-License-Identifier: MIT
"""Waiting for a grace period: until no running program uses what it read before."""

import os
import struct

from glb.datapath import libbpf

_KEY = struct.pack("=I", 0)


def wait_for_grace_period() -> None:
    """Return once every XDP program that was running at the call has ended (an RCU grace period, some milliseconds).

    The kernel promises this of an update of a map of maps (maybe_wait_bpf_programs in kernel/bpf/syscall.c), also with
    nohz_full, where membarrier(2) declines. The maps are created for this and freed afterwards.

    It is a full memory barrier as well: a program that sees what this process writes afterwards sees what it wrote
    before (synchronize_rcu() is a strong fence of the kernel's memory model).
    """
    inner = libbpf.create_map("glb_inner", libbpf.BPF_MAP_TYPE_ARRAY, 4, 1)
    try:
        outer = libbpf.create_map("glb_grace", libbpf.BPF_MAP_TYPE_ARRAY_OF_MAPS, 4, 1, inner_map=inner)
        try:
            libbpf.update(outer, _KEY, struct.pack("=I", inner))
        finally:
            os.close(outer)
    finally:
        os.close(inner)
