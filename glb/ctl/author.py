# SPDX-License-Identifier: MIT
"""For whom a command acts."""

import os
import pwd


def by(note: str) -> dict[str, str | None]:
    """What the API takes about a change's author: for whom root acts, as sudo tells it, and what the change is for.

    Who is not root is known to the daemon by the connection.
    """
    return {"author": os.environ.get("SUDO_USER"), "note": note}


def local_author() -> str:
    """The name of the user of this process, or of the one for whom root acts; the number of one without a name."""
    uid = os.geteuid()
    if uid == 0 and (user := os.environ.get("SUDO_USER")):
        return user
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
