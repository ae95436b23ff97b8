# SPDX-License-Identifier: MIT
"""BPF_PROG_TEST_RUN with many iterations, as a measuring instrument and as a packet generator."""

import ctypes as ct
import time

from glb.datapath.libbpf import TestRunOpts, XdpMd, check, lib

_LIVE_FRAMES = 1 << 1
_ROOM = 512


def run(program: int, frame: bytes, repeat: int) -> tuple[int, bytes]:
    """Run a program again and again on what it leaves of a frame. Returns the last action and the frame at the end."""
    out = ct.create_string_buffer(len(frame) + _ROOM)
    opts = _options(frame, repeat)
    opts.data_out, opts.data_size_out = ct.cast(out, ct.c_void_p), len(out)
    _test_run(program, opts)
    return opts.retval, out.raw[: opts.data_size_out]


def time_run(program: int, frame: bytes, repeat: int) -> float:
    """Nanoseconds of this thread's CPU time for each iteration; what the call itself costs is spread over them."""
    opts = _options(frame, repeat)
    before = time.thread_time_ns()
    _test_run(program, opts)
    return (time.thread_time_ns() - before) / repeat


def send(program: int, frame: bytes, ifindex: int, repeat: int, batch: int = 64) -> None:
    """Let a program send frames: each is real, and counts as received by the interface of this network namespace."""
    md = XdpMd(data_end=len(frame), ingress_ifindex=ifindex)
    opts = _options(frame, repeat)
    opts.flags, opts.batch_size = _LIVE_FRAMES, batch
    opts.ctx_in, opts.ctx_size_in = ct.addressof(md), ct.sizeof(md)
    _test_run(program, opts)


def _options(frame: bytes, repeat: int) -> TestRunOpts:
    return TestRunOpts(
        sz=ct.sizeof(TestRunOpts),
        data_in=ct.cast(ct.c_char_p(frame), ct.c_void_p),
        data_size_in=len(frame),
        repeat=repeat,
    )


def _test_run(program: int, opts: TestRunOpts) -> None:
    check(lib.bpf_prog_test_run_opts(program, ct.byref(opts)), "test run of a program")
