"""For whom a command acts."""

import os


def by(note: str) -> dict[str, str | None]:
    """What the API takes about a change's author: for whom root acts, as sudo tells it, and what the change is for.

    Who is not root is known to the daemon by the connection.
    """
    return {"author": os.environ.get("SUDO_USER"), "note": note}
