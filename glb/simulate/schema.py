# SPDX-License-Identifier: MIT
"""The structure of a scenario's JSON, key by key."""

from typing import Annotated, Self

from pydantic import Field, PlainValidator, model_validator

from glb.config import values
from glb.config.schema import Depth, JsonObject
from glb.simulate.model import Distribution, Ecmp, EventKind, Lifetime, Scenario, ScenarioEvent

MOST_DIRECTORS = 64
MOST_BACKENDS = 1000
LONGEST_S = 1_000_000


def seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LONGEST_S:
        raise values.refuse(value, f"a number of seconds from 0 to {LONGEST_S}")
    return float(value)


def positive(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST_S:
        raise values.refuse(value, f"a number above 0, at most {LONGEST_S}")
    return float(value)


def above_one(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 1 < value <= 100:
        raise values.refuse(value, "a number above 1, at most 100: at 1 or below, a Pareto distribution has no mean")
    return float(value)


Seconds = Annotated[float, PlainValidator(seconds)]
Positive = Annotated[float, PlainValidator(positive)]
Shape = Annotated[float, PlainValidator(above_one)]
DirectorNumber = Annotated[int, PlainValidator(values.integer(1, MOST_DIRECTORS))]
BackendNumber = Annotated[int, PlainValidator(values.integer(1, MOST_BACKENDS))]
Buckets = Annotated[int, PlainValidator(values.integer(1, 65536))]


class LifetimeSource(JsonObject):
    distribution: Annotated[Distribution, PlainValidator(values.one_of(Distribution))] = Distribution.EXPONENTIAL
    mean_s: Positive = 30.0
    shape: Shape = 1.5

    def to_model(self) -> Lifetime:
        return Lifetime(self.distribution, self.mean_s, self.shape)


class EventSource(JsonObject):
    at_s: Seconds
    move: Annotated[EventKind, PlainValidator(values.one_of(EventKind))]
    director: DirectorNumber | None = None
    backend: BackendNumber | None = None

    @model_validator(mode="after")
    def _the_one_it_happens_to(self) -> Self:
        wanted, other = ("director", "backend") if self.move.of_director else ("backend", "director")
        if getattr(self, wanted) is None:
            raise values.problem(f'"{wanted}" is missing: the number of the {wanted} of "{self.move}"')
        if getattr(self, other) is not None:
            raise values.problem(f'"{self.move}" concerns a {wanted}; remove "{other}"')
        return self

    def to_model(self) -> ScenarioEvent:
        number = self.director if self.move.of_director else self.backend
        assert number is not None
        return ScenarioEvent(self.at_s, self.move, number)


class LateSource(JsonObject):
    director: DirectorNumber
    by_s: Positive


class ScenarioSource(JsonObject):
    description: Annotated[str, PlainValidator(values.name)] = "a custom scenario"
    directors: DirectorNumber = 4
    backends: BackendNumber = 20
    depth: Depth = 3
    arrivals_per_s: Positive = 1000.0
    lifetime: LifetimeSource = LifetimeSource()
    ecmp: tuple[Annotated[Ecmp, PlainValidator(values.one_of(Ecmp))], ...] = Field((Ecmp.MODULO, Ecmp.RESILIENT))
    buckets: Buckets = 1024
    late: tuple[LateSource, ...] = ()
    director_notice_s: Seconds = 0.3
    backend_notice_s: Seconds = 2.0
    patience_s: Positive = 15.0
    sync_delay_s: Seconds = 1.0
    duration_s: Positive
    events: tuple[EventSource, ...]

    def to_model(self, name: str) -> Scenario:
        plain = {key: getattr(self, key) for key in _AS_THEY_ARE}
        return Scenario(
            name=name,
            lifetime=self.lifetime.to_model(),
            late=tuple((late.director, late.by_s) for late in self.late),
            events=tuple(event.to_model() for event in self.events),
            **plain,
        )


_AS_THEY_ARE = tuple(key for key in ScenarioSource.model_fields if key not in ("lifetime", "late", "events"))
