# SPDX-License-Identifier: MIT
"""How many files and sockets a daemon may have open."""

import subprocess
import sys

from glb.daemon.descriptors import shortage


def test_each_check_may_need_a_descriptor() -> None:
    assert shortage(limit=1024, opened=60, checks=600) is None
    assert shortage(limit=1024, opened=60, checks=1000) == (
        "1000 health checks may need 1316 descriptors (files and sockets), but the limit is 1024"
    )


def test_the_limit_is_raised_as_far_as_it_goes() -> None:
    program = (
        "import resource; from glb.daemon.descriptors import raise_limit; "
        "resource.setrlimit(resource.RLIMIT_NOFILE, (200, 400)); raise_limit(); "
        "print(resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "(400, 400)"
