# SPDX-License-Identifier: MIT
"""Every source file names its licence."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EITHER = "SPDX-License-Identifier: GPL-2.0-only OR MIT"
MIT = "SPDX-License-Identifier: MIT"


@pytest.mark.parametrize(
    ("folder", "pattern", "licence"),
    [
        ("bpf", "**/*.[ch]", EITHER),
        ("bench", "**/*.c", "SPDX-License-Identifier: "),
        ("bench", "**/*.py", MIT),
        ("glb", "**/*.py", MIT),
        ("glb", "**/*.toml", MIT),
        ("script", "*", MIT),
        ("tests", "**/*.py", MIT),
    ],
)
def test_source_files_name_their_licence(folder: str, pattern: str, licence: str) -> None:
    files = [path for path in (ROOT / folder).glob(pattern) if path.is_file() and "__pycache__" not in path.parts]
    assert files
    assert [str(path) for path in files if licence not in _head(path)] == []


def _head(path: Path) -> str:
    """The first two lines; a script's first one names its interpreter."""
    return "\n".join(path.read_text().splitlines()[:2])
