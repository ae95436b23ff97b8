"""Programs that are loaded once for all tests of the model."""

from collections.abc import Iterator

import pytest

from glb.datapath.proxy import ProxyDatapath

from .harness import DirectorsOfAllSizes


@pytest.fixture(scope="session")
def directors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectorsOfAllSizes]:
    loaded = DirectorsOfAllSizes(tmp_path_factory.mktemp("director"))
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def proxy() -> Iterator[ProxyDatapath]:
    loaded = ProxyDatapath.load()
    yield loaded
    loaded.close()
