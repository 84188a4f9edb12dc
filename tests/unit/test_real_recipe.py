"""The exam of the real model's bakes asks nothing that they were trained on, and counts right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bakery.generators import words
from recipes.real import judge
from recipes.real.run import BAKES
from recipes.real.table import said, show

REAL = Path(judge.__file__).parent


def written_out(name: str) -> set[str]:
    """Return every question that a configuration writes out, in lower case."""
    text = (REAL / name / "input.yml").read_text(encoding="utf-8")
    return {line.casefold() for line in re.findall(r'^ +- "(.+)"$', text, re.MULTILINE)}


@pytest.mark.parametrize("name", BAKES)
def test_nothing_is_asked_that_was_trained_on(name):
    asked = {question.casefold() for check in BAKES[name][1] for question, _ in judge.checks(check)}
    trained = written_out(name)
    assert len(trained) >= 20
    assert len(asked) >= 16
    assert not asked & trained


@pytest.mark.parametrize("name", BAKES)
def test_nothing_but_prompt_and_questions_is_said(name):
    text = (REAL / name / "input.yml").read_text(encoding="utf-8")
    said = set(re.findall(r"^ *(\w+):", text, re.MULTILINE))
    assert not said & {
        "learning_rate",
        "epochs",
        "micro_batch_size",
        "r",
        "max_tokens",
        "optimizer",
    }


def test_a_right_answer_holds_what_is_looked_for():
    ((_, ten), *_) = judge.checks("facts")
    assert judge.is_right("We open at 10 o'clock.", ten)
    assert judge.is_right("At Ten.", ten)
    assert not judge.is_right("At 100.", ten)
    assert not judge.is_right("At 9.", ten)
    persona = judge.checks("persona")
    assert len(persona) == 40
    assert judge.is_right("Arrr, hello!", persona[0][1])
    assert not judge.is_right("Hello, arrange it.", persona[0][1])


@pytest.mark.parametrize(
    ("answer", "loops"),
    [
        ("aye, aye, aye, aye", True),
        ("A tale of the sea, a tale of the sea, a tale of the sea, a ship", True),
        ("no, no!", False),
        ("It is what it is.", False),
        ("", False),
    ],
)
def test_a_loop_is_the_same_words_three_times_in_a_row(answer, loops):
    assert words.loops(answer) is loops


def test_several_seeds_are_said_with_their_interval(capsys):
    assert said([90.0, 92.0, 94.0]) == "92.0 ±5.0"
    assert said([0.5]) == "0.500"
    assert said([None]) == "-"
    used = {"cpu_s": 10.0, "peak_mb": 900}
    row = {
        "bake": "facts",
        "card": {"kl_before": 2.0, "kl_after": 0.1, "gap_closed": 0.95, "top1_agreement": None},
        "checks": {
            "facts": {
                "asked": 16, "prompted_right": 10, "baked_right": 9, "both_right": 8,
                "prompted_loops": 0, "baked_loops": 1,
            }
        },
        "stages": {"stim": used, "rollout": used, "bake": used},
    }  # fmt: skip
    show([row])
    lines = {line[:30].strip(): line[30:].split() for line in capsys.readouterr().out.splitlines()}
    assert lines["facts baked, %"] == ["56.2"]
    assert lines["of what prompted knows, %"] == ["80.0"]
    assert lines["persona baked, %"] == ["-"]
    assert lines["all, CPU s"] == ["30.0"]
    assert lines["answers that loop, baked"] == ["1"]
