# SPDX-License-Identifier: MIT
"""docs/verdicts.md, built from the texts: `script/docs` writes it, and a test checks that it is up to date."""

from importlib import resources
from string import Template

from glb.explain.texts import PROGRAMS, WARNINGS, ExplainText, texts


def page() -> str:
    """The whole page, in Markdown."""
    frame = Template((resources.files("glb.explain") / "page.md").read_text())
    return frame.substitute({subject: _section(subject) for subject in (*PROGRAMS, WARNINGS)})


def _section(subject: str) -> str:
    return "\n\n".join(_entry(text) for text in texts() if text.subject == subject)


def _entry(text: ExplainText) -> str:
    heading = f"### `{text.name}`"
    meaning = f"{text.meaning[0].upper()}{text.meaning[1:]}."
    said = [f"Its message says: “{text.says}”."] if text.says else []
    return "\n\n".join(
        [heading, " ".join([meaning, *said]), f"*Causes.* {text.causes}", f"*What to do.* {text.remedy}"]
    )
