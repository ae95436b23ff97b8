"""Having a change of the tables planned, by the director that it is for or here."""

from pathlib import Path

from pydantic import TypeAdapter

from glb.ctl.takeover import directors_with
from glb.ctl.which import client_of
from glb.daemon.report import Report
from glb.errors import GlbError
from glb.table.build import load, load_bytes
from glb.table.builder import RowBuilder
from glb.table.plan import Plan, plan_change

PLAN_SECONDS = 60.0

_plans = TypeAdapter(Plan)


def ask_for_plan(report: Report, source: str, name: str, timeout: float = PLAN_SECONDS) -> Plan:
    """What a director says that loading a source would do; `name` is its file's, for the messages.

    Raises ControlError.
    """
    answer = client_of(report, timeout).post("/v1/tables/plan", {"source": source, "name": name})
    return _plans.validate_python(answer)


def plan_here(old: Path, source: bytes, name: str) -> Plan:
    """The same against a file's tables, with the health that the files tell. Raises ConfigError or TableError."""
    builder = RowBuilder()
    return plan_change(load(old, builder), load_bytes(source, name, builder))


def require_harmless(path: Path, source: str) -> None:
    """Raise GlbError if established connections would be cut by a table file's having this content.

    A running director that follows the file is asked, which knows what is loaded; without one, the file is taken as it
    is.
    """
    users = directors_with(path)
    plan = ask_for_plan(users[0], source, str(path)) if users else plan_here(path, source.encode(), str(path))
    refusal = plan.refusal()
    if refusal is not None:
        raise GlbError(f"{path}: {refusal}")
