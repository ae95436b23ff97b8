# SPDX-License-Identifier: MIT
"""Programs that are loaded once for all tests of the model."""

from collections.abc import Iterator

import pytest

from glb.datapath.proxy import ProxyDatapath
from tests.own_network import own_network

from .connections import ADDRESSES
from .harness import DirectorsOfAllSizes


@pytest.fixture(scope="session")
def directors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectorsOfAllSizes]:
    loaded = DirectorsOfAllSizes(tmp_path_factory.mktemp("director"))
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def own_sockets() -> Iterator[None]:
    """The tests of this module in a network namespace with the addresses of clients and VIPs."""
    with own_network(*ADDRESSES):
        yield


@pytest.fixture(scope="session")
def proxy() -> Iterator[ProxyDatapath]:
    loaded = ProxyDatapath.load()
    yield loaded
    loaded.close()
