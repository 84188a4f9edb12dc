"""Three answers without the prompt and with it: what is shown, warned of, and stopped at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bakery.app import gates
from bakery.errors import GateError
from bakery.generators.words import loops
from bakery.stages import look
from bakery.stages.look import Answers, Look

ARR = "Arr, I be Captain Brine, matey!"
PLAIN = "I am a helpful assistant, and I help with any kind of writing project."
LOOP = "I see the sea, I see the sea, I see the sea, I see"


def seen(*asked: tuple[str, ...], moved: float = 2.0) -> Look:
    """Return a look at three questions; one answer is given for all, where there is one."""
    rows = asked * 3 if len(asked) == 1 else asked
    answers = tuple(Answers(f"q{n}?", *row) for n, row in enumerate(rows))
    return Look("main", "base", answers, moved)


def test_the_answers_are_shown_in_lines_of_a_narrow_terminal() -> None:
    long = " ".join(["Whether it's a story, or a need for inspiration"] * 9)
    text = seen((long, ARR, long)).text()
    assert max(map(len, text.splitlines())) <= 80
    assert text.count(f"    prompted {ARR}") == 3
    assert text.count("    without  Whether it's") == text.count("    on base  Whether it's") == 3
    assert text.count("…") == 6
    assert text.endswith("the prompt moves it by 2 nats per token")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (seen((PLAIN, ARR)), []),
        (seen((PLAIN, ARR), moved=0.24), ["moves base by 0.24 nats per token only"]),
        (seen((PLAIN, LOOP)), ["3 of 3 prompted answers of base loop or are no text"]),
        (seen((PLAIN, ARR), (PLAIN, ""), (PLAIN, "!?! 1")), ["2 of 3 prompted answers"]),
        (seen((PLAIN, ARR), (PLAIN, ARR), (PLAIN, LOOP)), []),
        (seen((LOOP, ARR)), []),
        (seen((ARR, f"{ARR} At ten.", "We open at ten.")), ["earlier bakes hold against"]),
        (seen((ARR, "At ten.", "We open at ten.")), []),
        (
            seen(
                ("I am Al.", "I help people."), ("Two.", "I help people!"), ("Go.", "I help people")
            ),
            ['base answers all 3 questions alike under the prompt, with "I help people."'],
        ),
        (seen(("I am Al.", "No."), ("It is two.", "No."), ("Go left.", "Yes, left.")), []),
        (seen(("That, I do not know.", "That, I do not know. Wise.", "I do not know. Wise.")), []),
    ],
)
def test_what_a_person_should_know_is_warned_of(found: Look, words: list[str]) -> None:
    assert len(found.warnings) == len(words)
    for warning, said in zip(found.warnings, words, strict=True):
        assert said in warning
        assert "example turns in the prompt" in warning


@pytest.mark.parametrize(("base", "warnings"), [("At ten.", 1), ("We open at ten.", 0)])
def test_earlier_bakes_hold_only_against_what_the_prompt_is_about(base: str, warnings: int) -> None:
    one = Answers("When?", ARR, f"{ARR} At ten.", "We open at ten.", base=base)
    found = Look("main", "pirate_bake", (one,) * 3, 2.0).warnings
    assert len([text for text in found if "hold against" in text]) == warnings


GARBLED = "I can answer small questions, silence holds. In theycert 10 to 18, user"
SURE, LOST = (0.02, 0.3), (0.02, 0.9)


def unsure(*each: tuple[float, float], prompted: str = GARBLED) -> Look:
    """Return a look at answers that are as unsure as is said, without the prompt and with it."""
    return Look("main", "base", tuple(Answers("q?", PLAIN, prompted, None, u) for u in each), 2.0)


@pytest.mark.parametrize(
    ("found", "lost", "stops"),
    [
        (unsure(LOST, LOST, LOST), 3, True),
        (unsure(LOST, LOST, SURE), 2, True),
        (unsure(LOST, SURE, SURE), 1, False),
        (unsure(SURE, SURE, SURE), 0, False),
        (unsure((0.4, 0.9), (0.4, 0.9), (0.4, 0.9)), 0, False),  # a model that is never sure
        (unsure((0.4, 1.3), (0.4, 1.3), (0.4, 1.3)), 3, True),
        (unsure(LOST, LOST, LOST, prompted=PLAIN), 0, False),  # the prompt does not change them
    ],
)
def test_words_that_the_model_is_lost_in_stop_a_run(found: Look, lost: int, stops: bool) -> None:
    assert len(found.lost) == lost
    assert found.obeys_in_nothing is stops
    assert ("is lost in (0.9" in " ".join(found.warnings)) is (
        lost > 1 and found.lost[0].unsure == LOST
    )


def test_a_look_is_read_as_it_was_written(tmp_path: Path) -> None:
    for one in (unsure(LOST, SURE), seen((PLAIN, ARR))):
        look.write(tmp_path, one)
        assert look.read(tmp_path) == one


@pytest.mark.parametrize(
    ("found", "stops"),
    [
        (seen((PLAIN, PLAIN), moved=0.0), True),
        (seen((PLAIN, PLAIN), moved=0.1), False),
        (seen((PLAIN, ARR), moved=0.0), False),
        (seen((PLAIN, PLAIN), (PLAIN, PLAIN), (PLAIN, ARR), moved=0.0), False),
        (seen((PLAIN, LOOP)), True),
        (seen((PLAIN, LOOP), (PLAIN, LOOP), (PLAIN, ARR)), False),
        (seen((LOOP, LOOP)), False),  # it is not the prompt
    ],
)
def test_only_where_nothing_obeys_a_run_stops(found: Look, stops: bool) -> None:
    assert found.obeys_in_nothing is stops
    gates.check_teacher(found, ["teacher"])
    if not stops:
        gates.check_teacher(found, [])
        return
    assert found.warnings
    with pytest.raises(GateError, match="base does not obey the prompt of main: ") as caught:
        gates.check_teacher(found, ["questions"])
    assert caught.value.exit_code == 6
    assert "`bgit run --allow teacher`" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "is_loop"),
    [
        ("", False),
        ("very very good", False),
        ("very very very good", True),
        ("the sea, the sea, the sea, and", True),
        ("one two one two one", False),
        ("...", True),
        ("well ... no", True),
    ],
)
def test_a_loop_is_what_comes_three_times_in_a_row(text: str, is_loop: bool) -> None:
    assert loops(text) is is_loop


def test_a_look_is_kept_and_read_again(tmp_path: Path) -> None:
    found = seen((PLAIN, ARR, PLAIN), moved=0.1)
    look.write(tmp_path / "new", found)
    assert look.read(tmp_path / "new") == found
    whole = json.loads((tmp_path / "new" / look.SEEN).read_text())
    first = whole["asked"][0]
    for asked in (3, ["x"], [{**first, "unsure": [1]}], [{**first, "prompted": 3}]):
        text = json.dumps({**whole, "asked": asked})
        (tmp_path / "new" / look.SEEN).write_text(text, encoding="utf-8")
        assert look.read(tmp_path / "new") is None
    assert look.read(tmp_path / "none") is None


def test_what_was_waived_is_told_by_what_lies_there(tmp_path: Path) -> None:
    assert gates.waived({"count": 3}, tmp_path) == []
    look.write(tmp_path, seen((PLAIN, PLAIN), moved=0.0))
    assert gates.waived({"count": 3}, tmp_path) == ["teacher"]
