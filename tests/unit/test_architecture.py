# SPDX-License-Identifier: MIT
"""docs/architecture.md is held to the code: its folders, their imports, and what it calls pure."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text()

PURE_MODULES = """abc base64 bisect codecs collections concurrent contextlib copy dataclasses decimal difflib enum
    errno functools hashlib heapq html ipaddress itertools json math operator pathlib re string
    struct threading types typing unicodedata weakref numpy pydantic pydantic_core typer"""
"""What a pure file may import from outside glb: nothing that reads a clock, a file, a socket or chance."""

PURE_NAMES = frozenset({"os.cpu_count", "sys.byteorder"})
"""Single functions of other modules that a pure file may import by name."""

FILE_METHODS = """chmod exists glob hardlink_to is_dir is_file is_symlink iterdir lstat mkdir open read_bytes read_text
    readlink rename resolve rglob rmdir samefile stat symlink_to touch unlink walk write_bytes write_text"""
"""Calls by which a `Path` touches the file system; a pure file may hold paths and join them."""


@cache
def modules() -> dict[str, Path]:
    """All modules of glb by their dotted names; a package by the name of its folder."""
    return {_module(file): file for file in sorted((ROOT / "glb").rglob("*.py"))}


def _module(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def unit_of(module: str) -> str:
    """A module's row in the table of folders: `config` for glb.config.model, `locks.py` for glb.locks."""
    parts = module.split(".")
    return parts[1] if (ROOT / "glb" / parts[1]).is_dir() else f"{parts[1]}.py"


@cache
def imported(file: Path) -> frozenset[str]:
    """The full names that a file imports, those inside functions included: module, or module and name."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def glb_modules(file: Path) -> set[str]:
    """The modules of glb that a file imports."""
    known = modules()
    names = {name for name in imported(file) if name.startswith("glb.")}
    return {name if name in known else name.rpartition(".")[0] for name in names} - {"glb"}


def rows_of(title: str) -> Iterator[list[str]]:
    """The cells of each row of the table in a section of the page."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line.startswith("| ") else []
        if cells and set(cells[0]) != {"-"}:
            yield cells


def folders() -> dict[str, set[str]]:
    """The units of glb in the page's order, and what each imports by the page, the shared ones included."""
    found: dict[str, set[str]] = {}
    shared: set[str] = set()
    for names, _, imports in list(rows_of("Folders"))[1:]:
        units = [name.rstrip("/") for name in re.findall(r"`glb/([^`]+)`", names)]
        listed = set(re.findall(r"[\w.]+", imports)) if imports != "-" else set()
        if imports == "one another":
            shared |= set(units)
            listed = set(units)
        found |= {unit: listed | shared - {unit} for unit in units}
    return {unit: listed - shared for unit, listed in found.items()} | {"shared": shared}


def test_each_folder_and_file_has_a_row() -> None:
    assert {unit_of(module) for module in modules() if module.count(".")} == set(folders()) - {"shared"}


def test_imports_column_is_what_is_imported() -> None:
    documented = folders()
    shared = documented.pop("shared")
    real: dict[str, set[str]] = defaultdict(set)
    for module, file in modules().items():
        if module.count("."):
            real[unit_of(module)] |= {unit_of(name) for name in glb_modules(file)}
    found = {unit: sorted(real[unit] - shared - {unit}) for unit in documented}
    assert found == {unit: sorted(listed) for unit, listed in documented.items()}


def test_no_import_runs_upwards() -> None:
    documented = folders()
    order = {unit: number for number, unit in enumerate(documented)}
    assert not [(unit, name) for unit, listed in documented.items() for name in listed if order[name] >= order[unit]]


def test_shared_files_import_shared_files_only() -> None:
    shared = folders()["shared"]
    for unit in shared:
        assert {unit_of(name) for name in glb_modules(ROOT / "glb" / unit)} <= shared


def claimed_pure() -> Iterator[Path]:
    """The files that the page calls pure."""
    for folder, claim in list(rows_of("Pure files"))[1:]:
        directory = ROOT / folder.strip("`")
        names = re.findall(r"`(\w+)`", claim)
        if claim.startswith("all"):
            yield from (file for file in sorted(directory.glob("*.py")) if file.stem not in names)
        else:
            yield from (directory / f"{name}.py" for name in names)


@cache
def touches(file: Path) -> frozenset[str]:
    """What of the system a single file uses: imports beyond PURE_MODULES, and calls that reach the file system."""
    names = {name for name in imported(file) if name.split(".")[0] not in {"glb", *PURE_MODULES.split()}}
    calls = {node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)}
    methods = {call.attr for call in calls if isinstance(call, ast.Attribute)}
    functions = {call.id for call in calls if isinstance(call, ast.Name)}
    return frozenset((names - PURE_NAMES) | (methods & set(FILE_METHODS.split())) | (functions & {"open"}))


def reached(module: str) -> set[str]:
    """A module and all of glb that it imports, directly or not."""
    known, found, waiting = modules(), {module}, [module]
    while waiting:
        for name in glb_modules(known[waiting.pop()]) - found:
            found.add(name)
            waiting.append(name)
    return found


@pytest.mark.parametrize("file", list(claimed_pure()), ids=_module)
def test_pure_file_does_not_touch_the_system(file: Path) -> None:
    known = modules()
    used = {module: sorted(touches(known[module])) for module in reached(_module(file))}
    assert not {module: found for module, found in used.items() if found}


def test_files_excepted_from_purity_need_it() -> None:
    for folder, claim in list(rows_of("Pure files"))[1:]:
        for stem in re.findall(r"`(\w+)`", claim) if claim.startswith("all") else ():
            file = ROOT / folder.strip("`") / f"{stem}.py"
            assert any(touches(modules()[module]) for module in reached(_module(file))), f"{file} is pure"


def test_file_that_says_pure_does_not_touch_the_system() -> None:
    """It may import types of files that do."""
    said = [file for file in modules().values() if "Pure" in (ast.get_docstring(ast.parse(file.read_text())) or "")]
    assert not {str(file): touched for file in said if (touched := sorted(touches(file)))}
