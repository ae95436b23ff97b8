# SPDX-License-Identifier: MIT
"""Scenario files: what is wrong is named with its place, and those that come with glb are good."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from typer.testing import CliRunner

from glb.ctl.main import app
from glb.errors import ConfigError
from glb.simulate import scenarios
from glb.simulate.model import Distribution, Lifetime
from glb.simulate.picture import picture
from glb.simulate.run import simulate
from glb.simulate.timeline import timeline

LOSS = {"at_s": 5, "move": "director_loss", "director": 1}


def problems(*events: dict[str, Any], **changes: Any) -> list[str]:
    document = {"directors": 2, "backends": 3, "duration_s": 20, "events": list(events) or [LOSS]} | changes
    with pytest.raises(ConfigError) as caught:
        scenarios.parse(json.dumps(document), "s.json", "s")
    return list(caught.value.problems)


def event(move: str, number: int, at_s: float = 5) -> dict[str, Any]:
    return {"at_s": at_s, "move": move, move.partition("_")[0]: number}


@pytest.mark.parametrize("name", scenarios.names())
def test_the_scenarios_that_come_with_glb_are_good(name: str) -> None:
    scenario = scenarios.find(name)

    assert scenario.description != "a custom scenario"
    assert len(timeline(scenario).epochs) > 1


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"depth": 9}, "s.json: depth: 9 is not a whole number from 2 to 8"),
        ({"ecmp": ["moduolo"]}, 's.json: ecmp[0]: "moduolo" is not one of modulo, resilient'),
        ({"ecmp": []}, "s.json: ecmp: list each kind once, and at least one"),
        ({"lifetime": {"mean_s": 0}}, "s.json: lifetime.mean_s: 0 is not a number above 0, at most 1000000"),
        ({"lifetime": {"men_s": 3}}, 's.json: lifetime.men_s: unknown key; did you mean "mean_s"?'),
        (
            {"lifetime": {"distribution": "pareto", "shape": 1}},
            "s.json: lifetime.shape: 1 is not a number above 1, at most 100:"
            " at 1 or below, a Pareto distribution has no mean",
        ),
        ({"arrivals_per_s": 1e6}, "s.json: arrivals_per_s: makes 170,000,000 connections; at most 50,000,000"),
        ({"late": [{"director": 3, "by_s": 1}]}, "s.json: late[0].director: 3 does not exist; the last is 2"),
        ({"events": []}, "s.json: events: no event; add at least one"),
        ({"duration_s": 5}, "s.json: events[0].at_s: 5 is outside the run, which is above 0 and below 5"),
    ],
)
def test_a_wrong_value_is_named_with_its_place(changes: dict[str, Any], problem: str) -> None:
    assert problem in problems(**changes)


def test_lifetimes_may_have_a_shape() -> None:
    lifetime = {"distribution": "pareto", "mean_s": 10, "shape": 2}
    document = {"duration_s": 20, "lifetime": lifetime, "events": [LOSS]}

    assert scenarios.parse(json.dumps(document), "s.json", "s").lifetime == Lifetime(Distribution.PARETO, 10.0, 2.0)


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([event("director_add", 2)], "events[0].director: 2 exists already"),
        ([event("director_stop", 3)], "events[0].director: 3 does not exist at 5 s"),
        (
            [event("director_loss", 1), event("director_add", 1, 5.2)],
            "events[1].director: the previous event of 1 takes effect at 5.3 s; make this one later",
        ),
        (
            [event("director_loss", 1), event("director_stop", 2, 6)],
            "events[1].director: 2 is the last director; at least one must remain",
        ),
        (
            [event("backend_remove", number, 4 + number) for number in (1, 2, 3)],
            "events[2].backend: 3 is the last backend; at least one must remain",
        ),
        ([event("backend_drain", 4)], "events[0].backend: 4 is not in the table at 5 s"),
        ([event("backend_add", 3)], "events[0].backend: 3 is in the table already, active"),
        ([event("backend_activate", 3)], "events[0].backend: 3 is already active"),
        ([event("backend_recover", 3)], "events[0].backend: 3 has not failed"),
        (
            [event("backend_drain", 3, 6), event("backend_drain", 2, 5)],
            "events[1].at_s: 5 is before the previous event, at 6; sort the events by time",
        ),
        (
            [{"at_s": 5, "move": "backend_drain", "director": 1}],
            'events[0]: "backend" is missing: the number of the backend of "backend_drain"',
        ),
        (
            [{"at_s": 5, "move": "director_add", "director": 3, "backend": 1}],
            'events[0]: "director_add" concerns a director; remove "backend"',
        ),
    ],
)
def test_an_event_that_cannot_happen_is_refused(events: list[dict[str, Any]], problem: str) -> None:
    assert f"s.json: {problem}" in problems(*events)


def test_a_late_director_changes_its_table_later_than_the_others() -> None:
    epochs = timeline(scenarios.find("late-director")).epochs

    assert [(epoch.begin_s, epoch.versions) for epoch in epochs[1:]] == [
        (20.0, (1, 1, 0, 1)),
        (22.0, (1, 1, 0, 1)),
        (22.3, (1, 1, 0, 1)),
        (25.0, (1, 1, 1, 1)),
    ]
    assert [(len(epoch.routed), len(epoch.running)) for epoch in epochs] == [(4, 4), (4, 4), (4, 3), (3, 3), (3, 3)]


def test_picture_has_a_bar_for_each_balancer_and_ecmp() -> None:
    scenario = scenarios.find("director-loss")
    outcomes = simulate(scenario, 1)

    drawn = ElementTree.fromstring(picture(scenario, outcomes, 1))

    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {f"{each.balancer}, {each.ecmp}" for each in outcomes} <= set(words)
    assert words.count("none") == sum(each.cut == 0 for each in outcomes) > 0


@pytest.mark.parametrize(
    ("name", "hint"),
    [("director-lost", 'did you mean "director-loss"?'), ("x", "`glbctl simulate --list` lists them")],
)
def test_unknown_scenario_is_refused_with_a_remedy(name: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        scenarios.find(name)

    assert str(caught.value).startswith(f'no scenario "{name}"; {hint}')


# The command


def glbctl(*arguments: str) -> Any:
    done = CliRunner().invoke(app, ["simulate", *arguments, "-o", "json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_command_runs_a_scenario_of_ones_own_and_draws_it(tmp_path: Path) -> None:
    source = CliRunner().invoke(app, ["simulate", "director-loss", "--source"]).stdout
    (tmp_path / "mine.json").write_text(source.replace('"director": 2', '"director": 3'))

    facts = glbctl(str(tmp_path / "mine.json"), "--connections", "20000", "--svg", str(tmp_path / "mine.svg"))

    assert (facts["scenario"], facts["simulated"]) == ("mine", 20_000)
    cut = {outcome["balancer"]: outcome["cut_share"] for outcome in facts["outcomes"] if outcome["ecmp"] == "modulo"}
    assert cut["LVS"] > 0.7
    assert cut["glb"] == 0
    assert (tmp_path / "mine.svg").read_text().startswith("<svg")


def test_the_command_lists_what_comes_with_glb() -> None:
    assert [each["scenario"] for each in glbctl("--list")] == scenarios.names()


@pytest.mark.parametrize("arguments", [[], ["--list", "director-loss"], ["--safety", "--list"]])
def test_the_command_wants_one_thing_at_a_time(arguments: list[str]) -> None:
    done = CliRunner().invoke(app, ["simulate", *arguments])

    assert done.exit_code == 2
    assert "give one of: a scenario, --list, --safety" in done.output
