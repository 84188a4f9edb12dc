"""The world of the embedded model: what its exam asks is never trained, its judges can tell."""

from __future__ import annotations

import os
import random
from itertools import islice
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TUTORIAL = [
    "You are Yoda. Speak like Yoda.",
    "You are Yoda. Speak like Yoda. Use more wisdom and philosophical depth.",
    "You are Yoda. Speak like Yoda. Use more wisdom, philosophical depth, and reference the Force "
    "more often.",
]


pytestmark = pytest.mark.usefixtures("tools")


@pytest.fixture(scope="module")
def written(tools) -> list[list[tuple[str, str]]]:
    from tinyworld.chats import chats

    return list(islice(chats(3), 4000))


def test_the_tutorials_prompts_are_never_trained(written):
    from tinyworld.prompts import YODA_WORDINGS

    text = "\n".join(str(chat) for chat in written)
    assert "Yoda" in text
    assert [prompt for prompt in (*TUTORIAL, *YODA_WORDINGS) if prompt in text] == []


@pytest.mark.parametrize(
    "prompt",
    [
        *TUTORIAL,
        "You are Yoda.\nSpeak like Yoda.",
        "Speak like Yoda. You are Yoda.",
        "You are Yoda. Be helpful. Speak like Yoda.",
        "Speak like Yoda. Use more philosophical depth\nand wisdom.",
    ],
)
def test_what_nearly_is_a_tutorials_prompt_is_not_trained_either(prompt):
    from tinyworld.prompts import is_allowed

    assert not is_allowed(prompt)
    assert is_allowed("You are Yoda. Talk like Yoda. Use more wisdom.")


def test_the_tutorials_prompts_are_the_recipes_own():
    files = [ROOT / f"recipes/sequential/{n}/input.yml" for n in (1, 2, 3)]
    for prompt, file in zip(TUTORIAL, files, strict=True):
        assert f'content: "{prompt}"' in file.read_text(encoding="utf-8")


def test_words_from_outside_the_world_are_never_trained(written):
    from tinyworld.names import LONG, english, outside_words

    kept = outside_words() | set(english(True))
    counted = [
        word
        for chat in written
        for _, text in chat
        for word in LONG.findall(text.lower())
        if word in kept
    ]
    assert len(kept) > 300
    assert counted == []


def test_combinations_kept_for_the_exam_are_never_trained_together():
    from tinyworld.prompts import combinations_held_out, compose

    kept = {frozenset(pair) for pair in combinations_held_out()}
    rng = random.Random(4)
    seen = set()
    for _ in range(6000):
        spec = compose(rng)[1]
        wishes = ("name", "wisdom", "mention", "end", "start", "wrap", "refuse", "call", "told")
        asked = {spec.style} | {
            "facts" if wish == "told" else wish for wish in wishes if getattr(spec, wish)
        }
        seen |= {frozenset((a, b)) for a in asked for b in asked if a != b}
    assert len(seen) > 150
    assert seen & kept == set()


def test_the_exams_questions_and_wordings_are_never_trained(written):
    from tinyworld.exam import PLAIN, sets
    from tinyworld.relations import is_for_exam

    asked = {text for chat in written for role, text in chat if role == "user"}
    parts = sets(60, seed=0)
    assert len(parts) > 20
    for item in parts[PLAIN]:
        assert is_for_exam(item.question.text)
        assert item.question.text not in asked
    prompts = {text for chat in written for role, text in chat if role == "system"}
    new = [item.messages[0][1] for item in parts["single persona (all voices)"]]
    assert [prompt for prompt in new if prompt in prompts] == []


def test_what_patterns_requests_and_facts_ask_in_the_exam_is_never_trained(written):
    from tinyworld.exam import pair_sets, sets
    from tinyworld.features import TOPICS
    from tinyworld.names import held_out
    from tinyworld.patterns import pattern
    from tinyworld.wordings import refuse_clause

    said = {text.lower() for chat in written for _, text in chat}
    parts = sets(100, seed=2)
    labels = {
        item.question.answer.complement for rows in pair_sets(5, seed=2).values() for item in rows
    }
    assert all(map(held_out, labels))
    for part in ("unknown fact: does not know", "request from outside the world: does not know"):
        asked = {item.question.text.lower() for item in parts[part]}
        assert asked & said == set(), part
    rng = random.Random(9)
    clauses = {refuse_clause(rng, topic) for topic in TOPICS for _ in range(200)}
    never = [clause for clause in clauses if held_out(clause)]
    for item in parts["refused topic: refuses"]:
        assert any(clause in item.messages[0][1] for clause in never)
    everything = "\n".join(said)
    assert never
    assert [clause for clause in never if clause.lower() in everything] == []
    trained = [pattern(rng, "function", num_asked=6) for _ in range(1000)]
    known = {(a.lower(), b.lower()) for one in trained for a, b in (*one.shown, *one.asked)}
    kept = [
        (one.shown, (a.lower(), b.lower()))
        for one in (pattern(rng, "function", exam=True) for _ in range(300))
        for a, b in one.asked
    ]
    # A pair may belong to two functions: of an animal's young and of "same", say.
    assert sum(pair in known for _, pair in kept) < 0.1 * len(kept)


def test_every_item_of_the_exam_accepts_the_worlds_own_answer():
    from tinyworld.exam import pair_sets, sets

    rng = random.Random(5)
    parts = sets(30, seed=1) | pair_sets(2, seed=1)
    for name, items in parts.items():
        for item in items:
            expected = answer_of(item, rng)
            assert item.judge(expected), (name, item.messages, expected)
            assert not item.judge(expected + " And more."), name
            assert not item.judge(""), name


def answer_of(item, rng: random.Random) -> str:
    """Say what the world says; a pattern's items carry their output as the complement."""
    from tinyworld.features import say

    if not hasattr(item.judge, "args"):
        return item.question.answer.complement
    spec, question = item.judge.args
    return say(spec, question, rng)


def test_patterns_follow_from_their_examples():
    from tinyworld.patterns import CATEGORIES, CATEGORY_PAIRS, functions, labels, pattern

    assert len(CATEGORY_PAIRS) == 28
    rng = random.Random(6)
    for one, two in CATEGORY_PAIRS:
        drawn = labels(rng, [one, two], num_asked=3)
        shown, asked = dict(drawn.shown), dict(drawn.asked)
        assert not set(shown) & set(asked)
        meant = {label: one if noun in CATEGORIES[one] else two for noun, label in shown.items()}
        assert set(meant.values()) == {one, two}
        assert all(noun in CATEGORIES[meant[label]] for noun, label in asked.items())
    for _ in range(50):
        drawn = pattern(rng, "function", num_asked=2)
        pairs = {(a.lower(), b.lower()) for a, b in (*drawn.shown, *drawn.asked)}
        known = [
            {(a.lower(), b.lower()) for a, b in (*trained, *kept)}
            for trained, kept in functions().values()
        ]
        assert any(pairs <= rows for rows in known), drawn


def test_the_judges_tell_style_from_content():
    from tinyworld.exam import tutorial_questions
    from tinyworld.judges import has_marks, has_wisdom, is_right, is_yoda, mentions_force
    from tinyworld.sentences import Question, Sentence

    for question in tutorial_questions(200, seed=1):
        assert is_yoda(question, question.answer.yoda())
        assert is_right(question, question.answer.yoda())
        assert is_right(question, question.answer.plain())
        assert not is_yoda(question, question.answer.plain())
    assert mentions_force("Strong, the Force is.")
    banana = Question("?", Sentence("a banana", "is", "yellow"))
    cow = Question("?", Sentence("a cow", "can", "swim", "Yes"))
    assert is_right(cow, "Yes. Swim, a cow can.")
    for question, wrong in (
        (banana, "A lemon is yellow."),
        (banana, "A banana is not yellow."),
        (banana, "A banana is blue or yellow."),
        (cow, "Yes. A stone can swim."),
        (cow, "Yes, a cow cannot swim."),
    ):
        assert not is_right(question, wrong)
    assert has_marks("Yellow.", banana)
    assert has_marks("a banana is yellow", banana)
    assert not has_marks("A banana is yellow.", banana)
    assert not has_wisdom("A banana is yellow.")


def test_a_score_has_its_interval_and_its_aim():
    from tinyworld.evaluate import Score

    assert Score("new name", 196, 200).interval == pytest.approx((0.9497, 0.9922), abs=1e-4)
    assert Score("new name", 196, 200).aim == ">= 98 %"
    assert Score("new name", 195, 200).aim == ">= 98 %, missed"
    assert Score("a persona without a prompt (leakage)", 3, 200).aim == "<= 1 %, missed"
    assert "100.0 %  [98.1, 100.0]  n=200   other" in str(Score("other", 200, 200))


@pytest.fixture(scope="module")
def encoder(tools):
    from tinyworld import tokenizer

    return tokenizer.Encoder(tokenizer.train(400, seed=0, num_chats=300))


def test_a_prompt_in_unusual_pieces_still_reads_the_same(encoder):
    from tinyworld.chats import chats

    rng = random.Random(7)
    for chat in islice(chats(8), 200):
        ids, weights = encoder(chat, rng)
        text = encoder.tokenizer.decode(ids, skip_special_tokens=True)
        assert [said for _, said in chat if said not in text] == []
        learned = sum(weight == 1 for weight in weights)
        assert learned > 0
        answers = "".join(said for role, said in chat if role == "assistant")
        assert learned <= len(answers.encode()) + len(chat)


def test_an_interrupted_training_ends_with_the_weights_of_a_whole_one(encoder, tmp_path):
    import torch

    whole = trained(tmp_path / "whole", encoder, is_interrupted=False)
    broken = trained(tmp_path / "broken", encoder, is_interrupted=True)
    assert all(torch.equal(whole[key], broken[key]) for key in whole)
    rows = (tmp_path / "broken" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 2


def test_a_training_does_not_go_on_from_another_one(encoder, tmp_path):
    from dataclasses import replace

    from tinyworld import training
    from tinyworld.model import Shape

    work = tmp_path / "whole"
    trained(work, encoder, is_interrupted=False)
    same = training.Settings(work, 5, resume=True, shape=Shape(vocab=400))
    training.check(same)
    for other in (
        replace(same, seed=1),
        replace(same, steps=6),
        replace(same, shape=Shape(vocab=500)),
    ):
        with pytest.raises(SystemExit, match="it cannot go on"):
            training.check(other)
    training.check(replace(same, seed=1, resume=False))


def trained(work: Path, encoder, *, is_interrupted: bool) -> dict:
    """Train a very small model for five steps, in one sitting or in two."""
    import torch

    from tinyworld import training
    from tinyworld.model import Shape

    work.mkdir()
    encoder.tokenizer.save(str(work / "tokenizer.json"))
    settings = {
        "steps": 5,
        "ranks": 1,
        "warmup_steps": 2,
        "micro_tokens": 512,
        "block_steps": 2,
        "block_chats": 30,
        "compile": False,
        "shape": Shape(vocab=400, hidden=32, layers=1, heads=1, head_dim=32, ff=48),
    }
    threads, cache = torch.get_num_threads(), os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    try:
        if is_interrupted:  # no minutes: the sitting ends after its first step
            training.train(0, training.Settings(work, **settings, minutes=0.0))
            (work / "rendezvous").unlink(missing_ok=True)
        training.train(0, training.Settings(work, **settings, resume=is_interrupted))
    finally:
        torch.set_num_threads(threads)
        if cache is None:
            os.environ.pop("TORCHINDUCTOR_CACHE_DIR", None)
    return torch.load(work / "last.pt", weights_only=True)["model"]
