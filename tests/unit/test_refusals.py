# SPDX-License-Identifier: MIT
"""What the system refuses, as messages that say what is needed, never as a traceback."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from glb.datapath.libbpf import check
from glb.errors import DatapathError

GLBCTL = [sys.executable, "-m", "glb.ctl"]


def test_without_permission_for_bpf_the_message_names_it() -> None:
    with pytest.raises(DatapathError, match=r"creation of the map rows: Operation not permitted .*CAP_BPF.*lockdown"):
        check(-errno.EPERM, "creation of the map rows")
    with pytest.raises(DatapathError) as caught:
        check(-errno.ENOMEM, "creation of the map rows")
    assert str(caught.value) == "creation of the map rows: Cannot allocate memory"


@pytest.mark.parametrize(
    ("output", "said"), [("/dev/full", "error: output: No space left on device\n"), (None, "")], ids=["full", "closed"]
)
def test_a_full_output_ends_a_command_without_a_traceback(output: str | None, said: str, tmp_path: Path) -> None:
    config = tmp_path / "proxy.conf"
    config.write_text('{"sources": ["10.0.0.0/24"]}')
    reader, writer = os.pipe()
    os.close(reader)
    stdout = os.open(output, os.O_WRONLY) if output else writer

    done = subprocess.run(
        [*GLBCTL, "check", "--proxy", config], stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60
    )

    for descriptor in {stdout, writer}:
        os.close(descriptor)

    assert (done.returncode, done.stderr) == (1, said)


def test_a_proxy_without_sources_does_not_start(tmp_path: Path) -> None:
    config = tmp_path / "proxy.conf"
    config.write_text("{}")

    done = subprocess.run(
        [*GLBCTL, "proxy", "run", "--iface", "lo", "--config", config],
        capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"GLB_RUN_DIR": str(tmp_path)},
    )  # fmt: skip

    assert done.returncode == 2
    assert f"{config}: sources: missing; list the addresses" in done.stderr
    assert '"sources": ["0.0.0.0/0"]' in done.stderr
