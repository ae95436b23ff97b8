# SPDX-License-Identifier: MIT
"""One word, one thing: names that are unique, and texts in the terms of docs/glossary.md."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LONGEST_TEST_NAME = 60

WORDS = {
    "told": "reported, given",
    "tells?": "reports, shows",
    "ask(s|ed|ing)?": "checks, requests, queries",
    "look(s|ed|ing)? around": "refreshes",
    "whoever": "any user, any host",
    "fellows?": "peer",
    "strangers?": "unknown host",
    "twins?": "capture program",
    "anybody|nobody|somebody": "any host, no host, a user",
    "ways?": "path, route, method, direction",
    "slip of the pen": "typo",
    "as it should be": "ok",
    "(go|goes|going) on": "continues",
    "leads? away": "route away",
    "takes? its leave": "exits cleanly",
    "one hop to live": "TTL 1",
    "on its own account": "itself",
    "at hand": "available",
    "sees? to": "handles, manages",
}
"""What docs, messages and comments do not say, and what to say instead."""

ALLOWED = {
    "told apart|tell(s|ing)?( them)? apart": "a common phrase for: distinguish",
    "either way": "a common phrase for: in both cases",
    "statsd_not_told|health_way_taken_away|health_way_not_set_up": "names that `glbctl explain` accepts do not change",
}
"""Phrases in which such a word has its usual meaning."""

_FOUND = re.compile(rf"(?<![A-Za-z])({'|'.join(WORDS)})(?![A-Za-z])", re.IGNORECASE)
_ALLOWED = re.compile("|".join(ALLOWED), re.IGNORECASE)


def texts() -> Iterator[Path]:
    """The files whose words users and newcomers read."""
    yield ROOT / "README.md"
    for folder, endings in (("docs", {".md"}), ("glb", {".py", ".toml", ".md", ".json"}), ("bpf", {".h", ".c"})):
        yield from (file for file in sorted((ROOT / folder).rglob("*")) if file.suffix in endings)


def words_in(file: Path) -> list[str]:
    """The lines of a file with such a word, each with its number."""
    lines = enumerate(file.read_text().splitlines(), 1)
    return [f"{number}: {line.strip()}" for number, line in lines if _FOUND.search(_ALLOWED.sub("", line))]


def test_texts_use_the_terms_of_the_field() -> None:
    found = {str(file.relative_to(ROOT)): lines for file in texts() if (lines := words_in(file))}
    assert not found, f"say instead: {WORDS}"


def top_level_classes() -> dict[str, list[str]]:
    """The modules of each public class of glb, by the class's name."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted((ROOT / "glb").rglob("*.py")):
        for node in ast.parse(file.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(file.relative_to(ROOT)))
    return found


def test_public_classes_have_unique_names() -> None:
    assert not {name: files for name, files in top_level_classes().items() if len(files) > 1}


def test_names_of_tests_are_short() -> None:
    names = [
        f"{file.name}: {node.name}"
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    ]
    assert not [name for name in names if len(name.split(": ")[1]) > LONGEST_TEST_NAME]
    assert not [name for name in names if _FOUND.search(name.replace("_", " "))]
