"""Rows to pairs: contexts, targets, sampled answers, and rows that are refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bakery.data.rows import Row
from bakery.engine.text.chat import Chat
from bakery.engine.text.pairs import (
    ContextSettings,
    RowRefused,
    fit,
    pairs_of,
    prefixes,
    sampled_pair,
    split_prefix,
)
from bakery.engine.text.views import Pair, View
from bakery.records import Message
from tests.support.models import byte_tokenizer
from tests.support.templates import chat_of

SYSTEM = {"role": "system", "content": "Be brief."}
BRIEF = ContextSettings(prefix=(SYSTEM,))
REASONED = "I count.\nAnswer: 42\nAnswer: 43"


def say(*contents: str) -> tuple[Message, ...]:
    return tuple(
        {"role": ("user", "assistant")[i % 2], "content": c} for i, c in enumerate(contents)
    )


def context(pattern: str | None = None, **changes: Any) -> ContextSettings:
    compiled = re.compile(pattern, re.MULTILINE) if pattern else None
    return ContextSettings(**{"prefix": (SYSTEM,), "target_content_pattern": compiled, **changes})


def scored(pairs: list[Pair] | Pair | None) -> list[str]:
    pairs = [pairs] if isinstance(pairs, Pair) else pairs or []
    views = [view for pair in pairs for view in (pair.teacher, pair.student)]
    texts = [
        [chat_of("chatml").decoded(v.ids[start:stop]) for start, stop in v.spans] for v in views
    ]
    assert texts[::2] == texts[1::2]
    return [text for found in texts[::2] for text in found]


def encode(text: str) -> list[int]:
    return list(byte_tokenizer().encode(text, add_special_tokens=False))


def test_a_rows_system_prompt_is_its_context_where_nothing_else_names_one() -> None:
    row = Row(1, say("Hi?"), system="Sing.")
    sing = ({"role": "system", "content": "Sing."},)
    bare = ContextSettings()
    assert split_prefix(row, bare) == ((*sing, *say("Hi?")), say("Hi?"))
    assert split_prefix(row, BRIEF)[0] == (SYSTEM, *say("Hi?"))
    own = Row(1, say("Hi?"), prefix=(SYSTEM,), system="Sing.")
    assert split_prefix(own, bare)[0] == (SYSTEM, *say("Hi?"))


def test_a_rows_system_prompt_is_its_first_turn_where_the_student_keeps_some() -> None:
    row = Row(1, say("Hi?", "Ho.", "And?", "So."), system="Sing.", unlearnt=(3,))
    kept = ContextSettings(student_retained_turns=4)
    teacher, student = split_prefix(row, kept)
    assert (teacher[0]["content"], student) == ("Sing.", row.turns)
    assert scored(pairs_of(chat_of("chatml"), row, kept)) == ["Ho.<|im_end|>"]


@pytest.mark.parametrize(
    ("unlearnt", "left"), [((), ["Ho.", "So."]), ((1,), ["So."]), ((3,), ["Ho."]), ((1, 3), [])]
)
def test_a_turn_that_is_not_to_be_learnt_is_no_target(
    unlearnt: tuple[int, ...], left: list[str]
) -> None:
    row = Row(1, say("Hi?", "Ho.", "And?", "So."), unlearnt=unlearnt)
    for settings in (BRIEF, ContextSettings(student_retained_turns=3)):
        ends = [f"{text}<|im_end|>" for text in left]
        assert scored(pairs_of(chat_of("chatml"), row, settings)) == ends


def test_a_rows_own_prefix_comes_before_the_global_one() -> None:
    own = ({"role": "system", "content": "Sing."},)
    teacher, student = split_prefix(Row(1, say("Hi?"), prefix=own), BRIEF)
    assert (teacher, student) == ((*own, *say("Hi?")), say("Hi?"))


def test_the_student_keeps_the_end_of_the_prefix() -> None:
    prefix = (SYSTEM, *say("Salt?", "A pinch."))
    for kept, seen in ((0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (9, 3)):
        _, student = split_prefix(
            Row(1, say("Hi?")), ContextSettings(prefix=prefix, student_retained_turns=kept)
        )
        assert student == (*prefix[3 - seen :], *say("Hi?"))


@pytest.mark.parametrize(
    "row",
    [Row(1, say("Hi?", "Yes.", "And?", "No.")), Row(1, say("Hi?", "Yes.", "And?"), "No.")],
)
def test_without_a_prefix_the_earlier_conversation_is_the_context(row: Row) -> None:
    chat = chat_of("chatml")
    (pair,) = pairs_of(chat, row, ContextSettings(student_retained_turns=2))
    assert scored(pair) == ["No.<|im_end|>"]
    assert list(pair.teacher.ids) == encode(chat.rendered(say("Hi?", "Yes.", "And?", "No.")))
    assert list(pair.student.ids) == encode(chat.rendered(say("And?", "No.")))


def test_an_answer_to_come_counts_as_one_of_the_retained_turns() -> None:
    row = Row(1, say("Hi?", "Yes.", "And?"))
    teacher, student = split_prefix(row, ContextSettings(student_retained_turns=2))
    assert (teacher, student) == (row.turns, say("And?"))


def test_a_row_that_has_only_what_is_retained_has_identical_views() -> None:
    (pair,) = pairs_of(
        chat_of("chatml"), Row(1, say("Hi?"), "Yes."), ContextSettings(student_retained_turns=2)
    )
    assert pair.is_identical
    (baked,) = pairs_of(chat_of("chatml"), Row(1, say("Hi?"), "Yes."), BRIEF)
    assert not baked.is_identical


@pytest.mark.parametrize("prefix", [None, ()])
def test_a_row_with_nothing_to_bake_is_refused(prefix: tuple[Message, ...] | None) -> None:
    with pytest.raises(RowRefused, match="row 17: it has no context to bake") as caught:
        pairs_of(chat_of("chatml"), Row(17, say("Hi?"), "Yes.", prefix), ContextSettings())
    assert caught.value.number == 17


def test_an_empty_prefix_of_its_own_is_none() -> None:
    with pytest.raises(RowRefused, match="it has no context to bake"):
        pairs_of(chat_of("chatml"), Row(1, say("Hi?"), "Yes.", ()), BRIEF)


def test_prefix_turns_are_never_targets() -> None:
    few = context(prefix=(SYSTEM, *say("Salt?", "A pinch.")), student_retained_turns=2)
    assert scored(pairs_of(chat_of("chatml"), Row(1, say("Hi?"), "Yes."), few)) == [
        "Yes.<|im_end|>"
    ]


def test_a_role_that_no_turn_has_gives_no_pair() -> None:
    none = context(target_roles=frozenset({"asistant"}))
    assert pairs_of(chat_of("chatml"), Row(1, say("Hi?"), "Yes."), none) == []


def test_several_roles_are_targets_in_their_order() -> None:
    both = context(target_roles=frozenset({"user", "assistant"}))
    row = Row(1, say("Hi?", "Yes.", "And?", "No."))
    assert scored(pairs_of(chat_of("chatml"), row, both)) == [
        "Hi?",
        "Yes.<|im_end|>",
        "And?",
        "No.<|im_end|>",
    ]


def test_what_follows_the_last_target_is_not_rendered() -> None:
    row = Row(1, say("Hi?", "Yes.", "And?"))
    (pair,) = pairs_of(chat_of("chatml"), row, BRIEF)
    assert "And?" not in chat_of("chatml").decoded(pair.teacher.ids)


@pytest.mark.parametrize(
    ("pattern", "scope", "targets"),
    [
        ("^Answer:", "message", [f"{REASONED}<|im_end|>"]),
        ("^Answer:", "match", ["Answer:", "Answer:"]),
        (r"^Answer: \d+$", "match", ["Answer: 42", "Answer: 43"]),
        ("^Reply:", "message", []),
        ("^Reply:", "match", []),
        ("x*", "match", []),
        (None, "match", [f"{REASONED}<|im_end|>"]),
    ],
)
def test_a_pattern_chooses_messages_or_what_matches(
    pattern: str | None, scope: str, targets: list[str]
) -> None:
    chat, chosen = chat_of("chatml"), context(pattern, target_scope=scope)
    assert scored(pairs_of(chat, Row(1, say("Hi?"), REASONED), chosen)) == targets
    sampled = sampled_pair(chat, Row(1, say("Hi?")), chosen, [*encode(REASONED), 2], "k")
    assert scored(sampled) == targets


def test_a_pattern_chooses_among_turns() -> None:
    row = Row(1, say("Hi?", "Hm.", "And?", "Answer: 42"))
    assert scored(pairs_of(chat_of("thinking"), row, context("^Answer:"))) == [
        "Answer: 42<|im_end|>"
    ]


def test_a_sampled_answer_keeps_its_ids_behind_both_prefixes() -> None:
    chat, row = chat_of("thinking"), Row(1, say("Hi?", "Yes.", "And?"))
    # Bytes that are no text: encoding their text again would give others.
    ids = [255, 140, 200, 2]
    pair = sampled_pair(chat, row, BRIEF, ids, "k")
    assert pair is not None
    for view, prefix in zip((pair.teacher, pair.student), prefixes(chat, row, BRIEF), strict=True):
        assert list(view.ids) == [*prefix, *ids]
        assert view.spans == ((len(prefix), len(prefix) + 4),)


def test_a_cut_answer_gets_no_end_of_turn() -> None:
    pair = sampled_pair(chat_of("chatml"), Row(1, say("Hi?")), BRIEF, encode("Yes, it"), "k")
    assert scored(pair) == ["Yes, it"]


def test_a_match_in_a_sampled_answer_is_laid_over_its_tokens() -> None:
    chat, row = chat_of("chatml"), Row(1, say("Hi?"))
    broken = [*encode("🙂 é"), encode("🙂")[0], encode("🙂")[1], *encode("Answer: 🙂!"), 2]
    assert scored(sampled_pair(chat, row, context("🙂", target_scope="match"), broken, "k")) == [
        "🙂",
        "🙂",
    ]
    answer = context("Answer: .", target_scope="match")
    assert scored(sampled_pair(chat, row, answer, broken, "k"))[0].endswith("Answer: 🙂")


def test_nothing_sampled_is_no_target() -> None:
    assert sampled_pair(chat_of("chatml"), Row(1, say("Hi?")), BRIEF, [], "k") is None
    users = context(target_roles=frozenset({"user"}))
    assert sampled_pair(chat_of("chatml"), Row(1, say("Hi?")), users, [5, 2], "k") is None


def test_a_target_that_nothing_predicts_is_taken_out_of_both_views() -> None:
    bare = Chat(byte_tokenizer("{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"), [2])
    users = context(target_roles=frozenset({"user"}))
    assert scored(pairs_of(bare, Row(1, say("Hi?")), users)) == ["i?"]
    assert pairs_of(bare, Row(1, say("H")), users) == []


def test_targets_that_differ_behind_the_two_contexts_are_refused() -> None:
    # An answer gets an end of turn only behind a system prompt.
    loud = (
        "{% for m in messages %}{{ m.role }}:{{ m.content }}"
        "{{ '<|im_end|>' if messages[0].role == 'system' else '' }}\n{% endfor %}"
    )
    with pytest.raises(RowRefused, match="row 5: the targets have other token ids"):
        pairs_of(Chat(byte_tokenizer(loud), [2]), Row(5, say("Hi?"), "Yes."), BRIEF)


def test_content_that_is_not_text_is_refused_only_as_a_target() -> None:
    picture = {"role": "assistant", "content": [{"type": "image"}]}
    with pytest.raises(RowRefused, match="row 5: the content of turn 2 is not text"):
        pairs_of(chat_of("chatml"), Row(5, (*say("Hi?"), picture)), BRIEF)


def test_tools_and_tool_calls_reach_the_ids() -> None:
    chat = chat_of("default_system")

    def ids(zone: str) -> tuple[int, ...]:
        call = {"type": "function", "function": {"name": "now", "arguments": {"zone": zone}}}
        turns = (
            *say("Hi?"),
            {"role": "assistant", "content": "Wait.", "tool_calls": [call]},
            {"role": "tool", "name": "now", "content": "12:00"},
        )
        (pair,) = pairs_of(chat, Row(1, turns, "Noon."), BRIEF)
        return pair.teacher.ids

    assert ids("UTC") != ids("CET")
    assert ids("UTC") == ids("UTC")


def pair_of(prefix: int, other: int, *targets: int) -> Pair:
    """Return a pair with targets of these lengths, one other id after each."""

    def view(start: int) -> View:
        ids, spans = list(range(100, 100 + start)), []
        for number, length in enumerate(targets):
            spans.append((len(ids), len(ids) + length))
            ids += [*range(length), 90 + number]
        return View(tuple(ids), tuple(spans))

    return Pair("k", view(prefix), view(other))


@pytest.mark.parametrize(
    ("length", "kept"),
    [(15, [(0, 1, 2), (0, 1, 2, 3)]), (13, [(0, 1, 2), (0, 1, 2)]), (10, [(0, 1, 2)]), (7, [(0,)])],
)
def test_a_long_pair_loses_its_tail_in_both_views(length: int, kept: list[tuple[int, ...]]) -> None:
    pair = fit(pair_of(6, 2, 3, 4), length)
    assert pair is not None
    for view, prefix in ((pair.teacher, 6), (pair.student, 2)):
        assert len(view.ids) <= length
        assert [view.ids[start:stop] for start, stop in view.spans] == kept
        assert view.ids[:prefix] == tuple(range(100, 100 + prefix))


def test_a_pair_that_fits_is_left_alone_and_one_without_room_is_dropped() -> None:
    pair = pair_of(6, 2, 3, 4)
    assert fit(pair, 15) is pair
    assert fit(pair, 6) is None
    assert fit(pair, 3) is None
