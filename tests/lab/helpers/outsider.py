# SPDX-License-Identifier: MIT
"""A program that knows nothing of glb's code: ctypes, libbpf and the documented names of the pins are all it has.

python outsider.py run PROGRAM       runs a pinned program on the frame on stdin (BPF_PROG_TEST_RUN); prints its
                                     action, then the frame that came out, in hexadecimal
python outsider.py counters MAP      prints the sum over all CPUs of each counter of the pinned map
python outsider.py keys MAP          prints how many keys the pinned map has
"""

import ctypes as ct
import os
import struct
import sys

libbpf = ct.CDLL("libbpf.so.1", use_errno=True)


class TestRunOptions(ct.Structure):
    """struct bpf_test_run_opts of libbpf's bpf.h."""

    _fields_ = (
        ("sz", ct.c_size_t),
        ("data_in", ct.c_void_p),
        ("data_out", ct.c_void_p),
        ("data_size_in", ct.c_uint32),
        ("data_size_out", ct.c_uint32),
        ("ctx_in", ct.c_void_p),
        ("ctx_out", ct.c_void_p),
        ("ctx_size_in", ct.c_uint32),
        ("ctx_size_out", ct.c_uint32),
        ("retval", ct.c_uint32),
        ("repeat", ct.c_int),
        ("duration", ct.c_uint32),
        ("flags", ct.c_uint32),
        ("cpu", ct.c_uint32),
        ("batch_size", ct.c_uint32),
    )


def check(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def open_pin(path: str) -> int:
    return check(libbpf.bpf_obj_get(path.encode()))


def info(fd: int) -> bytes:
    """struct bpf_map_info: type, id, key_size, value_size, ..."""
    raw = ct.create_string_buffer(256)
    check(libbpf.bpf_obj_get_info_by_fd(fd, raw, ct.byref(ct.c_uint32(len(raw)))))
    return raw.raw


def run(path: str, frame: bytes) -> None:
    out = ct.create_string_buffer(len(frame) + 256)
    options = TestRunOptions(
        sz=ct.sizeof(TestRunOptions),
        data_in=ct.cast(ct.c_char_p(frame), ct.c_void_p),
        data_out=ct.cast(out, ct.c_void_p),
        data_size_in=len(frame),
        data_size_out=len(out),
        repeat=1,
    )
    check(libbpf.bpf_prog_test_run_opts(open_pin(path), ct.byref(options)))
    print(options.retval)
    print(out.raw[: options.data_size_out].hex())


def counters(path: str) -> None:
    fd = open_pin(path)
    (value_size,) = struct.unpack_from("=I", info(fd), 12)
    cpus = check(libbpf.libbpf_num_possible_cpus())
    values = ct.create_string_buffer(value_size * cpus)
    check(libbpf.bpf_map_lookup_elem(fd, struct.pack("=I", 0), values))
    per_cpu = struct.iter_unpack(f"={value_size // 8}Q", values.raw)
    print(*(sum(column) for column in zip(*per_cpu, strict=True)))


def keys(path: str) -> None:
    fd = open_pin(path)
    (key_size,) = struct.unpack_from("=I", info(fd), 8)
    key, number = ct.create_string_buffer(key_size), 0
    before = None
    while libbpf.bpf_map_get_next_key(fd, before, key) == 0:
        before, number = key.raw, number + 1
    print(number)


def main() -> None:
    command, path = sys.argv[1:]
    if command == "run":
        run(path, sys.stdin.buffer.read())
    else:
        {"counters": counters, "keys": keys}[command](path)


if __name__ == "__main__":
    main()
