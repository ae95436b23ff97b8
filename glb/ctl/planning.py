# SPDX-License-Identifier: MIT
"""Having a change of the tables planned, by the director that it is for or here."""

from pydantic import TypeAdapter

from glb.config.bind_text import parse_bind
from glb.config.edit import Edit
from glb.config.model import Bind
from glb.ctl.which import client_of
from glb.daemon.report import Report
from glb.table.build import load_bytes
from glb.table.builder import RowBuilder
from glb.table.plan import Basis, Plan, plan_change

PLAN_SECONDS = 60.0

_plans = TypeAdapter(Plan)


def ask_for_plan(report: Report, source: str, name: str, timeout: float = PLAN_SECONDS) -> Plan:
    """What a director says that loading a source would do; `name` is its file's, for the messages.

    Raises ControlError.
    """
    answer = client_of(report, timeout).post("/v1/tables/plan", {"source": source, "name": name})
    return _plans.validate_python(answer)


def plan_between(old: bytes, new: bytes, old_name: str, new_name: str, basis: Basis | None = None) -> Plan:
    """The same from one file's content to another's, with the health that the files tell.

    Raises ConfigError or TableError.
    """
    builder = RowBuilder()
    return plan_change(load_bytes(old, old_name, builder), load_bytes(new, new_name, builder), basis=basis)


def plan_of_edit(edit: Edit) -> Plan:
    """What an edit does to a file that no director here follows. Raises ConfigError or TableError."""
    return plan_between(edit.before.encode(), edit.source.encode(), str(edit.path), str(edit.path))


def binds_of(report: Report) -> list[Bind]:
    """The binds that a director has loaded, in the file's order."""
    return [parse_bind(bind) for table in report.tables for bind in table.binds]
