"""A log that nobody reads does not delay the daemon, and loses nothing that it has room for."""

import fcntl
import os

from glb.daemon.log import PatientStream


def test_lines_that_a_full_pipe_does_not_take_are_written_once_it_is_read() -> None:
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    stream = PatientStream(write)
    lines = [f"{number:05} {'x' * 90}\n" for number in range(500)]
    for line in lines:
        stream.write(line)  # a blocking write would hang here

    got = b""
    while len(got) < sum(map(len, lines)):
        got += os.read(read, 65536)
        stream.flush()
    os.close(read)
    os.close(write)

    assert got.decode() == "".join(lines)


def test_a_reader_that_has_gone_is_no_error() -> None:
    read, write = os.pipe()
    os.close(read)
    stream = PatientStream(write)

    assert stream.write("a line\n") == 7
    os.close(write)


def test_a_long_line_is_written_whole() -> None:
    read, write = os.pipe()
    stream = PatientStream(write)
    stream.write("y" * 10_000 + "\n")

    assert len(os.read(read, 65536)) == 10_001
    os.close(read)
    os.close(write)
