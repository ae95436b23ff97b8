# SPDX-License-Identifier: MIT
"""What a request to a daemon says if it fails."""

import os
import socket
import tempfile
from pathlib import Path

import pytest

from glb.control.client import Client
from glb.errors import ControlError


def test_permission_denied_is_not_reported_as_no_daemon() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        Path(folder).chmod(0o755)
        path = Path(folder, "socket")
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        if user == 0:
            os.seteuid(65534)  # root may use any socket
        try:
            with pytest.raises(ControlError) as refused:
                Client(path).get("/v1/status")
        finally:
            os.seteuid(user)

    assert "permission denied" in str(refused.value)
    assert "no daemon" not in str(refused.value)
