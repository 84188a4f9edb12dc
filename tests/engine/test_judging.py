"""A judge says yes or no; who cannot be asked is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakery.app.judging import Judges
from bakery.app.opening import Models
from bakery.app.workbench import Alone
from bakery.errors import ConfigError
from bakery.reporting import Quiet
from bakery.schema.tests import Case, Suite
from bakery.store.store import Store
from tests.support.baking import Bench
from tests.support.endpoint import serve

NEITHER = "my-judge began with neither yes nor no, but with"


def judges(bench: Bench, tmp_path: Path) -> Judges:
    models = Models(Alone(Store(tmp_path), tmp_path), bench.base_id, None, Quiet())
    return Judges(models, bench.base_id.name)


def case(model: str) -> Case:
    return Case(question="Who?", judge={"model": model, "rubric": "It is polite."})


@pytest.mark.parametrize(
    ("reply", "passed", "why"),
    [
        ("Yes.", True, ""),
        ("<think>no, or yes?</think>\n**Yes**", True, ""),
        ("no", False, "my-judge says no: It is polite."),
        ("Nothing to say", False, f'{NEITHER} "Nothing to say"'),
        ("I would not say yes.", False, f'{NEITHER} "I would not say yes."'),
        ("There is no doubt. Yes.", False, f'{NEITHER} "There is no doubt. Yes."'),
        ("Yes or no? No.", False, f'{NEITHER} "Yes or no? No."'),
        ("No doubt: it does.", False, f'{NEITHER} "No doubt: it does."'),
        ("Is it? yes!</think>No, rude.", False, "my-judge says no: It is polite."),
        ('"Yes", it is.', True, ""),
    ],
)
def test_the_first_word_of_an_endpoint_counts(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reply, passed, why
) -> None:
    with serve([reply]) as endpoint:
        monkeypatch.setenv("OPENAI_BASE_URL", endpoint.url)
        asked = judges(bench, tmp_path)
        asked.check(Suite(tests=(case("my-judge"),)))
        outcome = asked.judged(case("my-judge"), "I am Pip.")
        again = asked.judged(case("my-judge"), "I am Pip.")
    assert (outcome.check, outcome.passed, outcome.why) == ("judge", passed, why)
    assert again == outcome
    (request,) = endpoint.requests
    said = request["messages"][0]["content"]
    assert all(part in said for part in ("It is polite.", "Who?", "I am Pip."))
    assert request["temperature"] == 0


def test_a_model_of_this_machine_judges(bench: Bench, tmp_path: Path) -> None:
    outcome = judges(bench, tmp_path).judged(case("base"), "I am Pip.")
    assert "base began with neither yes nor no" in outcome.why  # its weights are random


def test_a_server_that_nobody_named_is_refused(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(ConfigError, match="my-judge, judge of test-1, cannot be asked"):
        judges(bench, tmp_path).check(Suite(tests=(case("my-judge"),)))
