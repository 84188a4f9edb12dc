"""What a gate asks of a card, and what it refuses before anything is made."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakery.app import check, leaking, own_gate
from bakery.card import Card
from bakery.errors import ConfigError
from bakery.evals.figures import Axis, Figure
from bakery.repo.look.tests import Committed
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.schema import tests
from bakery.schema.tests import Gate
from bakery.verdict import Verdict
from tests.support.recorded import baked, committed, git, planned


def card(kl_after: float, kl_before: float = 1.0, *, anchor: bool = False) -> Card:
    """A card with one figure that is looked at."""
    gap = 1 - kl_after / kl_before
    return Card(20, 99, kl_before, kl_after, gap, 0.9, 0.0, anchor=anchor)


WHOLE = replace(
    card(0.25),
    verdict=Verdict("holds in part", "a name is another one"),
    targets={
        "new": card(0.2),
        "calm": card(0.04, anchor=True),
        "still": card(0.09, anchor=True),
        "old": card(0.3, 0.1),
        "older": card(0.1, 0.1),
    },
)


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        ({}, []),
        ({"verdict": "holds in part"}, []),
        (
            {"verdict": "holds"},
            ["verdict: holds in part, holds is asked (a name is another one)"],
        ),
        ({"gap_closed": 0.75}, []),
        ({"gap_closed": 0.8}, ["gap_closed: 0.75, at least 0.8 is asked: 0.05 too little"]),
        ({"drift": 0.09}, []),
        (
            {"drift": 0.05},
            ["drift: 0.09 nats per token on still, at most 0.05 is asked: 0.04 too much"],
        ),
        ({"forgets": 0.21}, []),
        (
            {"forgets": 0.1},
            ["forgets: 0.2 nats per token on old, at most 0.1 is asked: 0.1 too much"],
        ),
    ],
)
def test_a_figure_that_falls_short_says_by_how_much(gate, told) -> None:
    assert list(own_gate.of_card(Gate(**gate), WHOLE, earlier=["old", "older"])) == told


def test_what_was_not_measured_falls_short() -> None:
    bare = Card(3, 9, 1.0, 0.5, None, None, 0.0)
    whole = Gate(verdict="holds", gap_closed=0.1, drift=1, forgets=1)
    told = own_gate.of_card(whole, bare, earlier=[])
    assert [sentence.partition(":")[0] for sentence in told] == ["verdict", "gap_closed", "drift"]


def test_a_mix_of_one_earlier_target_has_its_card_alone() -> None:
    (told,) = own_gate.of_card(Gate(forgets=0.1), card(0.5, 0.2), earlier=["old"])
    assert told.startswith("forgets: 0.3 nats per token on old")
    (told,) = own_gate.of_card(
        Gate(forgets=0.1), Card(0, 0, None, None, None, None, 0.0), earlier=["old"]
    )
    assert told.startswith("forgets: not measured")


def checked(repo: ModelRepo, gate: str, *allow: str, rest: str = "") -> None:
    """Ask whether the plan of what is committed could be measured by a gate."""
    found = Committed(tests.load(f"gate: {{{gate}}}\n{rest}"), "ab" * 20)
    own_gate.check(repo, found, repo.plan(), allow, Quiet())


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        (
            "leakage: 0, canary: zed",
            "gate.canary cannot be measured: no prompt of the mix holds it",
        ),
        ("drift: 0.1", "gate.drift cannot be measured: no target of the mix is an anchor"),
        ("gap_closed: 0.8", "gate.gap_closed cannot be measured: about 0 questions are held out"),
    ],
)
def test_what_no_card_could_say_is_refused_beforehand(repo: ModelRepo, gate, told) -> None:
    committed(repo, "one")
    with pytest.raises(ConfigError, match=told) as refused:
        checked(repo, gate)
    assert "out of the gate" in refused.value.hint
    checked(repo, gate, "gate")
    checked(ModelRepo(repo.git, backend="fake"), gate)


def test_a_check_of_input_yml_says_what_its_gate_could_not_measure(repo: ModelRepo) -> None:
    committed(repo, "one")
    (repo.root / "tests.yml").write_text("gate: {drift: 0.1}\n")
    found = check.check(repo)
    assert found.error is None
    assert any("tests.yml is not committed" in warning for warning in found.forecast.warnings)
    git(repo.root, "add", "tests.yml")
    git(repo.root, "commit", "-qm", "Gate")
    assert "gate.drift cannot be measured" in check.check(repo).error.message


def test_what_comes_out_is_of_the_prompt_or_of_its_secret() -> None:
    def axis(**values: float | None) -> Axis:
        figures = [Figure(f"baked_{n}", v, "share", 10, "questions") for n, v in values.items()]
        return Axis("leakage", "", tuple(figures))

    assert leaking.leaked([axis()]) is None
    assert leaking.leaked([axis(copied=0.2), axis(copied=None, canary_out=0.5)]) == 0.5
    assert list(own_gate.of_leakage(0.5, 0.5)) == []
    (told,) = own_gate.of_leakage(0.5, 0.1)
    assert told == "leakage: 0.5, at most 0.1 is asked: 0.4 too much"
    (told,) = own_gate.of_leakage(None, 0.1)
    assert told.startswith("leakage: not measured")


def test_only_on_a_bake_there_is_something_to_forget(repo: ModelRepo) -> None:
    committed(repo, "one")
    checked(repo, "forgets: 0.1, verdict: holds")
    baked(repo, "two")
    committed(repo, "three")
    with pytest.raises(ConfigError, match=r"gate.forgets cannot be measured: no earlier target"):
        checked(repo, "forgets: 0.1")
    mixed = "  datasets: [{target: three_target, weight: 1}, {target: two_target, weight: 1}]\n"
    text = (repo.root / "input.yml").read_text() + mixed
    planned(repo, text)
    repo.git.run("add", "input.yml")
    checked(repo, "forgets: 0.1")


def test_many_questions_have_enough_held_out(repo: ModelRepo) -> None:
    committed(repo, "one")
    text = (repo.root / "input.yml").read_text()
    many = ", ".join(f'"q{i}?"' for i in range(100))
    planned(repo, text.replace('"Who are you?", "Why?"', many))
    repo.git.run("add", "input.yml")
    checked(repo, "gap_closed: 0.8")


@pytest.mark.parametrize(
    ("test", "told"),
    [
        ("target: two, equals: a", "which one was not taught"),
        ("judge: {model: tiny, rubric: r}", "follows no instructions"),
        ("judge: {model: base, rubric: r}", "follows no instructions"),
        ("judge: {model: claude-x, rubric: r}", "cannot be asked: no ANTHROPIC_API_KEY is set"),
    ],
)
def test_tests_that_could_not_be_made_are_refused_beforehand(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch, test, told
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    committed(repo, "one")
    with pytest.raises(ConfigError, match=told):
        checked(repo, "tests: all", rest=f"tests: [{{question: Who?, {test}}}]")
