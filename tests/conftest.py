# SPDX-License-Identifier: MIT
"""What all tests share: the cache of compiled programs, and labs.

Each module that uses a lab gets its own, and it goes down whatever happens.
"""

import os
from collections.abc import Iterator
from itertools import count

import pytest

from glb.lab import Lab

_numbers = count(1)


def pytest_configure(config: pytest.Config) -> None:
    """Have everything that tests start compile each program once, in this run or an earlier one; workers inherit it."""
    if "GLB_CACHE_DIR" not in os.environ:
        os.environ["GLB_CACHE_DIR"] = str(config.cache.mkdir("programs"))


@pytest.fixture(scope="session", autouse=True)
def _no_leftovers() -> None:
    """Clear away the labs of test runs that were killed."""
    if os.geteuid() == 0:
        Lab.sweep()


@pytest.fixture
def lab_name() -> Iterator[str]:
    """A name that no other lab has; what is brought up under it is removed after the test."""
    name = unique_name()
    yield name
    Lab.remove(name)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    """A lab with its daemons: two directors, three proxies."""
    with Lab.up(unique_name(), owned=True) as lab:
        yield lab


@pytest.fixture(scope="module")
def unchecked_lab() -> Iterator[Lab]:
    """A lab with its daemons, but without health checks: every packet is the test's own."""
    with Lab.up(unique_name(), owned=True, health_checks=False) as lab:
        yield lab


@pytest.fixture(scope="module")
def bare_lab() -> Iterator[Lab]:
    """A lab without daemons: only the network and the web servers."""
    with Lab.up(unique_name(), owned=True, daemons=False) as lab:
        yield lab


def unique_name() -> str:
    return f"test-{os.getpid()}-{next(_numbers)}"
