# SPDX-License-Identifier: MIT
"""The manual pages: complete, and without a formatter's complaint."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glb.ctl.main import full_command
from glb.ctl.manual import man_markdown, pages, section
from tests.unit.test_help import LEAVES

ROOT = Path(__file__).parents[2]
DOCS = {page: (ROOT / "docs" / f"{page}.md").read_text() for page in ("configuration", "health")}
PAGES = pages(full_command(), DOCS, "1.2.3", "2026-01-02")


def test_each_command_has_a_section_with_its_options() -> None:
    parts = dict(part.split("\n", 1) for part in PAGES["glbctl.1"].split("\n## ")[1:])

    assert parts.keys() == LEAVES.keys()
    assert "**--host** *\\[USER@\\]HOST*\n:   " in parts["glbctl trace"]
    assert "*CLIENT\\[:PORT\\]* \\[*VIP\\[:PORT\\]*\\]" in parts["glbctl trace"]
    assert "1 to 65535\\]" in parts["glbctl backend drain"]
    assert "```\nglbctl backend drain web 10.0.0.11 --wait" in parts["glbctl backend drain"]


@pytest.mark.parametrize(
    ("page", "key"),
    [
        ("glb-director.conf.5", "**outbound_src_ip**"),
        ("glb-director.conf.5", "**hold_time**"),
        ("glb-proxy.conf.5", "**sources**"),
        ("glb-forwarding-table.5", "**backends[].weight**"),
        ("glb-forwarding-table.5", "**vip_tcp**"),
        ("glb-director.8", "**--table** *FILE*"),
        ("glb-proxy.8", "**--config** *FILE*"),
    ],
)
def test_pages_define_the_keys_and_options(page: str, key: str) -> None:
    assert f"\n{key}\n:   " in PAGES[page]


def test_tables_become_lists_of_definitions() -> None:
    text = "| key | if not given | what |\n| --- | --- | --- |\n| `fall` † | 3 | [failures](x.md) in a row |\n"

    assert man_markdown(text) == "**fall**\n:   failures in a row. If not given: 3\n"


def test_a_section_that_has_gone_is_an_error() -> None:
    with pytest.raises(ValueError, match="no section nowhere"):
        section(DOCS["health"], "nowhere")


def test_the_pages_render_without_errors(tmp_path: Path) -> None:
    subprocess.run([ROOT / "script" / "man", tmp_path], env=os.environ | {"PYTHON": sys.executable}, check=True)

    made = sorted(tmp_path.iterdir())
    lint = subprocess.run(["mandoc", "-Tlint", "-Werror", *made], capture_output=True, text=True, check=False)
    assert [path.name for path in made] == sorted(PAGES)
    assert (lint.returncode, lint.stdout) == (0, "")
    shown = subprocess.run(["mandoc", "-Tutf8", made[-1]], capture_output=True, text=True, check=True).stdout
    assert "layer-4 load balancer" in shown
