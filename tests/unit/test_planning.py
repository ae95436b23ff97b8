"""An edit is planned before it is made."""

import json
from pathlib import Path
from typing import Any

import pytest

from glb.config.edit import set_backend_state
from glb.config.model import State
from glb.ctl.planning import require_harmless
from glb.errors import GlbError


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table file of four backends, three hops a row, and no director on this host."""
    monkeypatch.setenv("GLB_RUN_DIR", str(tmp_path / "run"))
    table: dict[str, Any] = {
        "name": "web",
        "hash_key": "00" * 16,
        "seed": "11" * 16,
        "binds": [{"ip": "198.51.100.1", "proto": "tcp", "port": 80}],
        "backends": [{"ip": f"10.0.0.{n}", "state": "active"} for n in range(1, 5)],
    }
    path = tmp_path / "ft.json"
    path.write_text(json.dumps({"tables": [table]}))
    return path


def test_a_drain_that_leaves_rows_without_a_hop_of_their_own_is_refused(path: Path) -> None:
    for address in ("10.0.0.1", "10.0.0.2"):
        drain = set_backend_state(path, address, State.DRAINING, dry_run=True)
        require_harmless(path, drain.source)
        set_backend_state(path, address, State.DRAINING)

    third = set_backend_state(path, "10.0.0.3", State.DRAINING, dry_run=True)

    with pytest.raises(GlbError) as caught:
        require_harmless(path, third.source)
    assert f"{path}: refused, since it would cut established connections" in str(caught.value)
    assert "web: 10.0.0.3: all 3 hops of rows would drain or be unhealthy" in str(caught.value)
