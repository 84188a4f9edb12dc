"""The attacks on both doors: their short form finds nothing, and they notice what they look for."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from bakery.errors import ConfigError
from tools.attack.endpoints.kinds import KINDS
from tools.attack.endpoints.server import completion, meant, send, serve
from tools.attack.kills import campaign as kills
from tools.attack.kills.state import State
from tools.attack.mutations import campaign as mutations
from tools.attack.mutations import changes, input_yml
from tools.attack.mutations.judge import judged
from tools.attack.trial import Late, called, deadline, typed
from tools.attack.verdicts import FAILURES, Outcome, Report, table
from tools.attack.workers import outcomes

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def short() -> dict[str, dict[str, Any]]:
    """The reports of a short attack, by campaign."""
    done = subprocess.run(
        [sys.executable, "-m", "tools.attack", "--short", "--json", "--jobs", "1"],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["campaigns"]
    return {report["campaign"]: report for report in found}


@pytest.mark.parametrize("campaign", ["mutations", "endpoints", "kills", "templates"])
def test_a_short_attack_finds_nothing(short, campaign):
    assert short[campaign]["failures"] == []
    assert short[campaign]["tried"] >= 4


def test_the_campaigns_are_as_large_as_they_are_said_to_be():
    assert len(set(mutations.cases())) >= 10_000
    assert len(kills.cases()) >= 300
    assert len(KINDS) >= 30


def test_every_kind_of_spoilt_input_is_in_a_short_attack():
    found = Counter(case.partition(":")[0] for case in mutations.cases(80))
    assert found.keys() == mutations.KINDS.keys()
    for module, _ in mutations.KINDS.values():
        assert importlib.import_module(f"tools.attack.mutations.{module}").surface


def test_the_file_that_is_spoilt_is_valid():
    targets = input_yml.plan(input_yml.RICH).targets
    assert [target.name[:-17] for target in targets] == ["main", "anchor"]


@pytest.mark.parametrize("start", [0, 100])
def test_a_spoilt_input_yml_is_planned_or_refused_with_its_line(start):
    trial = input_yml.InputYml()
    found = [trial(f"input:{number}") for number in range(start, start + 100)]
    assert [outcome for outcome in found if outcome.has_failed] == []


def test_the_same_case_is_the_same_input():
    import random

    first, second = (changes.text(input_yml.RICH, random.Random("input:7")) for _ in range(2))
    assert first == second


def test_a_traceback_is_a_failure_and_a_sentence_is_none():
    def broken() -> None:
        raise RuntimeError("x")

    def refused() -> None:
        raise ConfigError("r is not a number", hint="Give one.")

    assert judged("x", called(broken)).verdict == "traceback"
    assert judged("x", called(refused)) == Outcome(
        "x", "refused", "r is not a number\nhint: Give one."
    )
    assert judged("x", called(lambda: None), lambda: "other ids").verdict == "silently wrong"
    assert judged("x", typed(lambda: sys.exit(2))).verdict == "traceback"  # it says nothing


def test_what_never_ends_is_late_though_it_catches_everything():
    def stubborn() -> None:
        while True:
            try:
                while True:
                    pass
            except Exception:
                continue

    with pytest.raises(Late), deadline(0.1):
        called(stubborn)


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (State(answers=("a", "b")), None),
        (State(answers=("a",)), "lost"),
        (State(answers=("a", "b", "b")), "doubled"),
        (State(answers=("a", "c")), "silently wrong"),
        (State(answers=("a", "b"), parent="x"), "silently wrong"),
    ],
)
def test_what_is_lost_or_doubled_after_a_kill_is_noticed(found, verdict):
    difference = found.difference(State(answers=("a", "b")))
    assert (difference[0] if difference else None) == verdict


def test_a_process_that_dies_or_hangs_is_an_outcome_and_another_goes_on():
    def trial(case: str) -> Outcome:
        if case == "dies":
            os._exit(9)
        if case == "late":
            raise Late
        return Outcome(case, "accepted")

    found = outcomes(["a", "dies", "b", "late", "c"], lambda _: trial, processes=1)
    assert [(o.case, o.verdict) for o in found] == [
        ("a", "accepted"), ("dies", "traceback"), ("b", "accepted"), ("late", "slow"),
        ("c", "accepted"),
    ]  # fmt: skip


def test_the_table_has_a_column_for_every_failure_and_the_command_that_shows_it():
    failed = [Outcome(f"input:{n}", verdict, "x") for n, verdict in enumerate(FAILURES)]
    report = Report.of("mutations", [Outcome("input:9", "accepted"), *failed], 61.0)
    assert report.row() == [6, 1, 0, 1, 1, 1, 1, 1]
    assert report.again(failed[0]) == "python -m tools.attack mutations --case 'input:0'"
    assert table([report]).splitlines()[1].split() == [
        "mutations", "6", "1", "0", "1", "1", "1", "1", "1", "1.0",
    ]  # fmt: skip


def test_the_server_says_the_very_bytes_and_knows_what_it_was_asked():
    import urllib.request

    with serve(lambda request, to: send(to, completion(meant(request)), length=5)) as server:
        asked = json.dumps({"messages": [{"role": "user", "content": "q1 what?"}]}).encode()
        headers = {"Authorization": "Bearer k"}
        request = urllib.request.Request(f"{server.url}/chat", data=asked, headers=headers)
        with urllib.request.urlopen(request, timeout=5) as answer:
            assert answer.read() == b'{"id"'
    assert (server.requests[0].question, server.requests[0].key) == ("q1 what?", "k")
