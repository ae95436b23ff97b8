# SPDX-License-Identifier: MIT
"""The JSON output of each command, as types: docs/json.md and its schema are built from them.

The types of the APIs are used where possible; a command may add keys that a daemon does not know.
"""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from types import GenericAlias
from typing import Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, create_model

from glb.capture.event import Event
from glb.control.openapi import ErrorResponse
from glb.ctl.reload import ReloadResult
from glb.daemon.report import Report
from glb.director.announcer import Drained, RoutingStatus
from glb.director.api_health import HealthHistoryResponse, HealthResponse, HealthSetResponse
from glb.director.changes import SetAside
from glb.doctor.finding import Finding
from glb.explain.texts import ExplainText
from glb.history.store import Listing
from glb.history.version import Version
from glb.lab.status import LabStatus
from glb.metrics.stats import Stats
from glb.probe.decisions import DirectorProbe, ProxyProbe
from glb.simulate.run import RunResult
from glb.table.findings import PlanFinding
from glb.table.plan import Plan as TablesPlan


class Shape(BaseModel):
    """A JSON object with exactly these keys."""

    model_config = ConfigDict(extra="forbid")


def _model(name: str, doc: str, base: type | None = None, **more: Any) -> Any:
    """A shape with the keys of another type, if given, and further keys."""
    hints = (get_type_hints(base) if base else {}) | more
    keys: dict[str, Any] = {key: (hint, ...) for key, hint in hints.items()}
    return create_model(name, __base__=Shape, __doc__=doc, **keys)


def _list(*items: Any) -> Any:
    """A list of any of these shapes."""
    return GenericAlias(list, (reduce(or_, items),))


Daemon = _model(
    "Daemon",
    "The status of a daemon (`GET /v1/status`), running or not, with that of the kernel and the speaker. routing: of a "
    "running director.",
    Report,
    unreached=list[str],
    running=bool,
    attached=bool,
    pins=str,
    routing=RoutingStatus | None,
    packets=dict[str, int],
)
Plan = _model(
    "Plan",
    "The effects of a change of the tables (`POST /v1/tables/plan`), and whether it cuts connections.",
    TablesPlan,
    changes=bool,
    cuts_connections=bool,
    may_cut_connections=bool,
)


class ClearedBackend(Shape):
    """A backend without connections that the change may cut. agent: where they were counted; null if no bind is tcp."""

    address: str
    agent: str | None


Applied = _model(
    "Applied",
    "A change that was made (`POST /v1/tables/apply` and `rollback`), with the file.",
    file=str | None,
    version=Version | None,
    plan=Plan,
    cleared=_list(ClearedBackend),
    directors=list[ReloadResult],
    set_aside=SetAside | None,
)


class StoredVersion(Shape):
    """One version with the file's content (`GET /v1/tables/history/NUMBER`); `diff` with --diff."""

    version: Version
    source: str | None
    diff: str | None


class StateChange(Shape):
    """A backend's state in a table, before and after; null if the table does not list it."""

    table: str
    address: str
    before: str | None
    after: str | None


class EditedBackend(Shape):
    """An edit of a table file: findings of the plan, checks of the proxies, and the directors that have loaded it."""

    file: str
    changed: bool
    tables: list[StateChange]
    findings: list[PlanFinding]
    cleared: list[ClearedBackend]
    directors: list[ReloadResult]


class DrainWait(Shape):
    """The wait for a backend's last connection. sockets: by TCP state, from the agent's last answer. moves: changes by
    other users."""

    agent: str | None
    drained: bool
    connections: int | None
    most: int
    sockets: dict[str, int] | None
    established_packets_per_second: float | None
    new_packets_per_second: float | None
    seconds: float
    interrupted: bool
    moves: list[str]
    error: str | None


class DrainedBackend(EditedBackend):
    """The result of `backend drain --wait`: the edit, the wait, and the change by `--then`."""

    wait: DrainWait
    then: EditedBackend | None


class DirectorHealth(HealthResponse):
    """The health of a daemon's backends (`GET /v1/health`), and the daemon's interfaces."""

    interfaces: list[str]


class BackendHealthHistory(HealthHistoryResponse):
    """A backend's health and its changes (`GET /v1/tables/TABLE/backends/ADDRESS/health`), and the daemon's
    interfaces."""

    interfaces: list[str]


class BackendHealthSet(HealthSetResponse):
    """The same after an override (`PUT /v1/tables/TABLE/backends/ADDRESS/health`), and how connections are lost, or may
    be, by it."""

    interfaces: list[str]


class VerdictRate(Shape):
    """Packets per second by verdict."""

    role: str
    verdict: str
    packets_per_second: float


class BindRate(Shape):
    """Traffic to the backends of a bind."""

    table: str
    bind: str
    packets_per_second: float
    bits_per_second: float


class BackendRate(Shape):
    """Traffic to a backend as the first hop."""

    table: str
    backend: str
    packets_per_second: float
    bits_per_second: float


class ForwardRate(Shape):
    """Second chances that this host's proxies send on to a hop."""

    next_hop: str
    packets_per_second: float


class TopRates(Shape):
    """Rates, summed over this host's interfaces."""

    verdicts: list[VerdictRate]
    binds: list[BindRate]
    backends: list[BackendRate]
    forwards: list[ForwardRate]


class LookupAnswer(Shape):
    """The result for a client's packet; null and [] if no bind matches. hash: 16 hexadecimal digits."""

    source: str
    destination: str
    protocol: str
    table: str | None
    bind: str | None
    hash: str | None
    row: int | None
    hops: list[str]
    tunnel_source_port: int | None


class CheckedFile(Shape):
    """A checked file. good: it has no errors. tables: names of the tables in a table file, null for other files.
    differences: what it means differently to glb-director, with `--as glb-director`."""

    file: str
    good: bool
    errors: list[str]
    warnings: list[str]
    tables: list[str] | None
    differences: list[str]


class BuiltBinary(Shape):
    """A written binary table."""

    file: str
    bytes: int
    tables: list[str]


class ShownBackend(Shape):
    """A backend, and the number of rows of which it is the first hop."""

    address: str
    state: str
    healthy: bool
    first_hop_rows: int


class ShownTable(Shape):
    """A table. rows: the hops of the rows given by --rows. hash_key, seed: hexadecimal."""

    table: str
    hash_key: str
    seed: str | None
    hops_per_row: int
    binds: list[str]
    backends: list[ShownBackend]
    rows: dict[str, list[str]]


class BackendDifference(Shape):
    """Changes in the rows of which a backend is the first hop."""

    address: str
    rows_before: int
    rows_after: int
    gained: int
    lost: int


class TableDifference(Shape):
    """The differences of a table. share_of_flows_moved: 0 to 1."""

    table: str
    rows_moved: int
    share_of_flows_moved: float
    rows_with_other_later_hops: int
    rows_that_lose_their_first_hop: int
    hash_key_changed: bool
    may_cut_connections: bool
    binds_added: list[str]
    binds_removed: list[str]
    backends: list[BackendDifference]


class Difference(Shape):
    """The differences of two files. added, removed: names of tables."""

    added: list[str]
    removed: list[str]
    may_cut_connections: bool
    tables: list[TableDifference]


ProbedDirector = _model(
    "ProbedDirector",
    "The result of a director for a flow's packets. agrees: whether it equals the result by its files.",
    DirectorProbe,
    role=Literal["director"],
    agrees=bool,
)
ProbedProxy = _model("ProbedProxy", "The result of a proxy for a flow's packets.", ProxyProbe, role=Literal["proxy"])
BalancerOutcome = _model(
    "BalancerOutcome", "The effect on connections with one load balancer.", RunResult, cut_share=float
)
Simulation = _model(
    "Simulation",
    "The result of a scenario. simulated: number of connections.",
    scenario=str,
    description=str,
    seed=int,
    simulated=int,
    outcomes=_list(BalancerOutcome),
)


class KnownScenario(Shape):
    """A built-in scenario (--list)."""

    scenario: str
    description: str


class Safety(Shape):
    """The effect of simultaneous changes on connections (--safety): "kept", "stalled" or "cut"."""

    depth: int
    changes: list[str]
    leaving: int
    at_once: str
    late: str


class InitFile(Shape):
    """A file of `init`. fate: "new", "kept" (another text is there, and stays), "replaced" or "unchanged"."""

    path: str
    fate: str
    mode: str
    text: str


class Initialised(Shape):
    """What `init` wrote, or with --print would write. copies: of replaced texts. commands: what to run next."""

    files: list[InitFile]
    copies: list[str]
    written: bool
    commands: list[str]
    notes: list[str]


SHAPES: dict[str, Any] = {
    "backend activate": EditedBackend,
    "backend deactivate": EditedBackend,
    "backend drain": EditedBackend | DrainedBackend,
    "backend fill": EditedBackend,
    "backend history": list[BackendHealthHistory],
    "backend list": list[DirectorHealth],
    "backend remove": EditedBackend,
    "backend set-health": list[BackendHealthSet],
    "capture": Event,
    "check": list[CheckedFile],
    "director announce": RoutingStatus,
    "director drain": Drained,
    "director status": _list(Daemon),
    "doctor": list[Finding],
    "explain": list[ExplainText],
    "init director": Initialised,
    "init proxy": Initialised,
    "lab status": LabStatus,
    "lab up": LabStatus,
    "lookup": LookupAnswer | list[LookupAnswer],
    "probe": _list(ProbedDirector, ProbedProxy),
    "proxy status": _list(Daemon),
    "simulate": Simulation | list[KnownScenario] | list[Safety],
    "stats": list[Stats],
    "table apply": Applied,
    "table build": BuiltBinary,
    "table diff": Difference,
    "table history": Listing | StoredVersion,
    "table plan": Plan,
    "table rollback": Applied,
    "table show": list[ShownTable],
    "top": TopRates,
    "trace": Event,
}
"""By command. `capture` and `trace` print one object on each line."""

ERROR = ErrorResponse
"""The object on stderr if a command fails."""


def command_of(arguments: Sequence[str]) -> str:
    """The command in a list of arguments: "table plan", "stats"."""
    two = " ".join(arguments[:2])
    return two if two in SHAPES else arguments[0]


def problem_with(command: str, facts: Any) -> str | None:
    """How facts differ from the command's shape, or None. Raises ValidationError if they match no shape."""
    adapter = TypeAdapter(SHAPES[command])
    again = adapter.dump_python(adapter.validate_python(facts), mode="json")
    return None if again == facts else f"{command}: {facts} is not {again}"
