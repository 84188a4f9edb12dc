"""`make forgetting`: prompts whose checks nobody learns by heart, and a matrix over seeds."""

from __future__ import annotations

import re
from types import ModuleType
from typing import Any

import pytest

from bakery import schema

pytestmark = pytest.mark.usefixtures("tools")


@pytest.fixture(scope="module")
def cases(tools) -> ModuleType:
    from forgetting import cases

    return cases


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_chain_is_the_same_each_time_and_checks_its_prompts(cases, seed):
    chain = cases.tiny(seed)
    assert [case.name for case in chain] == ["persona", "rule", "facts", "more", "few-shot"]
    assert chain == cases.tiny(seed)
    for case in chain:
        told = " ".join(str(message["content"]) for message in case.messages)
        assert all(re.compile(right) for _, right in case.checks)
        if case.name in ("facts", "more"):
            assert all(re.search(right, told) for _, right in case.checks)
            assert not any(re.search(right, question) for question, right in case.checks)
        else:
            assert not {question for question, _ in case.checks} & set(case.written)


def test_the_real_chain_has_the_recipes_own_checks(cases):
    persona, rule, facts = cases.real()
    assert (len(persona.checks), len(rule.checks), len(facts.checks)) == (40, 40, 16)
    assert not {question for question, _ in facts.checks} & set(facts.written)


@pytest.mark.parametrize("way", ["nothing", "replay", "retention", "both"])
def test_each_way_is_an_input_yml(cases, way):
    from forgetting import making

    bake = schema.load(making.document(cases.tiny(1)[0], way, 1)).bake
    assert bake is not None
    assert {"replay": bake.replay, "retention": bake.retention} == {
        "replay": 0.0, "retention": 0.0, **making.WAYS[way]
    }  # fmt: skip


def row(way: str, gap: float) -> dict[str, Any]:
    """Return a chain of two bakes whose first target keeps so much."""
    return {"base": "tiny", "seed": 1, "way": way, "cpu_s": 60.0, "drift": [0.25],
            "gap": {"persona": [1.0, gap], "facts": [0.9]},
            "right": {"persona": [1.0, 0.5], "facts": [1.0]}}  # fmt: skip


def test_the_matrix_has_means_and_ranges_over_seeds(tools):
    from forgetting import table

    said = table.text([row("nothing", 0.5), row("nothing", 0.7), row("replay", 0.9)])
    assert "| persona | 100.0; 100 % | 60.0 (50.0 to 70.0); 50 % |" in said
    assert "| facts |  | 90.0; 100 % |" in said
    ends = [line for line in said.splitlines() if line.startswith(("| nothing", "| replay"))]
    assert ends == [
        "| nothing | 75.0 (70.0 to 80.0) | 60.0 (50.0 to 70.0) | 90.0 | 75.0 | 0.250 | 60 |",
        "| replay | 90.0 | 90.0 | 90.0 | 75.0 | 0.250 | 60 |",
    ]
