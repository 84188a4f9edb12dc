"""Questions with answers, and corpora: the two kinds of file that hold no rows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bakery.data import datasets as data
from bakery.errors import BakeryError, ConfigError, StageError


def written(name: str, content: object) -> str:
    """Write text, or data as JSON, and return the name."""
    text = content if isinstance(content, str) else json.dumps(content)
    Path(name).write_text(text, encoding="utf-8")
    return name


@pytest.mark.parametrize(
    "wrapper", [None, "evaluation_samples", "test_samples", "eval", "qa_pairs"]
)
def test_questions_have_answers_under_many_names(wrapper):
    items = [
        {"question": "a", "answer": "b"},
        {"input": "c", "expected": ["d", "e"]},
        {"question": "f", "target": 12},
    ]
    found = data.load_eval_data(written("qa.json", {wrapper: items} if wrapper else items))
    assert found == [
        {"question": "a", "answer": ["b"]},
        {"question": "c", "answer": ["d", "e"]},
        {"question": "f", "answer": ["12"]},
    ]


@pytest.mark.parametrize(
    ("item", "said"),
    [
        ({"question": "a", "answer": ""}, "sample 1: the answer is empty"),
        ({"question": "a", "answer": ["b", " "]}, "the answer is empty"),
        ({"question": "a", "answer": []}, "list of answers is empty"),
        ({"question": "a"}, "expected a text or number under answer or expected or target"),
        ({"answer": "b"}, "expected a text under question or input"),
        ("a", "expected a question and an answer"),
    ],
)
def test_a_question_that_checks_nothing_is_refused(item, said):
    with pytest.raises(ConfigError, match=said):
        data.load_eval_data(written("qa.json", [item]))


def test_an_eval_file_without_questions_is_refused():
    with pytest.raises(StageError, match="has no questions"):
        data.load_eval_data(written("qa.json", []))
    with pytest.raises(ConfigError, match=r"no such file: gone\.json"):
        data.load_eval_data("gone.json")


@pytest.mark.parametrize(
    ("kind", "content", "text"),
    [
        ("text", "Bread rises.\n", "Bread rises."),
        ("custom", "Bread {rises}.", "Bread {rises}."),
        ("list", ["flour", "water"], "- flour\n- water"),
        ("list", "flour\n\nwater\n", "- flour\n- water"),
        ("list", {"items": [{"text": "flour"}]}, "- flour"),
        (
            "papers",
            [{"title": "Bread", "authors": ["Ann", "Bo"], "year": 1999, "abstract": "It rises."}],
            "# Bread\nAnn, Bo, 1999\n\nIt rises.",
        ),
        ("papers", {"papers": [{"title": "A", "summary": "b"}, "c"]}, "# A\n\nb\n\nc"),
    ],
)  # fmt: skip
def test_a_corpus_has_one_of_four_shapes(kind, content, text):
    assert data.load_corpus(written("corpus.json", content), kind) == text


@pytest.mark.parametrize(
    ("kind", "content", "said"),
    [
        ("text", " \n", "is empty"),
        ("papers", [{"title": "A"}], "paper 1: expected a title and one of abstract"),
        ("papers", "no", "not JSON"),
        ("songs", "x", "unknown corpus_format 'songs'"),
    ],
)
def test_a_bad_corpus_is_refused(kind, content, said):
    with pytest.raises(BakeryError, match=said):
        data.load_corpus(written("corpus.json", content), kind)


def test_a_template_holds_the_corpus():
    assert data.build_system_prompt("x", "Know {a}: {corpus}") == "Know {a}: x"
    assert data.build_system_prompt("x").endswith("x")
    with pytest.raises(ConfigError, match=r"no \{corpus\} in it"):
        data.build_system_prompt("x", "Know")
    with pytest.raises(ConfigError, match="has no prompt of its own"):
        data.build_system_prompt("x", corpus_format="custom")
