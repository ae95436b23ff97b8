# SPDX-License-Identifier: MIT
"""Part of building glb's wheel, and of an installation from a checkout: the C library of the ranking.

Without a C compiler there is no library, and numpy does its work (glb/native/ranker.py).
"""

import importlib.util
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _library() -> ModuleType:
    """glb.native.library alone: the package itself cannot be imported before it is installed."""
    path = Path(__file__).parent / "glb" / "native" / "library.py"
    spec = importlib.util.spec_from_file_location("library", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class RankingLibrary(BuildHookInterface):  # type: ignore[misc]
    """Builds the library beside its source; a wheel that holds it is for this kind of machine."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        library = _library()
        try:
            path = library.build()
        except library.BuildError as error:
            self.app.display_warning(f"large tables will take longer to build: {error}")
            return
        if version != "editable":
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["tag"] = f"py3-none-{platform}"
            build_data["force_include"][str(path)] = f"glb/native/{path.name}"
