"""Programs that are loaded once for all tests of the model."""

from collections.abc import Iterator

import pytest

from .harness import DirectorsOfAllSizes


@pytest.fixture(scope="session")
def directors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirectorsOfAllSizes]:
    loaded = DirectorsOfAllSizes(tmp_path_factory.mktemp("director"))
    yield loaded
    loaded.close()
