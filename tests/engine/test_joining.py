"""What is left of two models in one, and where they contradict each other."""

from __future__ import annotations

import pytest

from bakery.evals import joining
from bakery.evals.joining import Question
from bakery.evals.moved import Heard, Moved
from bakery.evals.sides import Said


def question(side: str, text: str, prompt: str, prompted: str = "") -> Question:
    return Question(
        f"{side}/{text}", f"{side}_0123456789abcdef", side, text, (1,), prompt, prompted
    )


CRUMB, NADIA = "Your name is Crumb.", "Your name is Nadia."
OURS = question("ours", "What is your name?", CRUMB)
THEIRS = question("theirs", "Who are you?", NADIA)


def test_two_names_for_one_question_are_a_contradiction():
    found = joining.contradictions(
        [OURS, THEIRS],
        ["I am a bot.", "I am a bot."],
        ["My name is Crumb.", "I am Crumb."],
        ["My name is Nadia.", "I am Nadia."],
    )
    assert [(one.side, one.question) for one in found] == [
        ("ours", "What is your name?"),
        ("theirs", "Who are you?"),
    ]
    assert found[0].ours == "My name is Crumb."
    assert found[0].theirs == "My name is Nadia."


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        # The other side never learnt of it, and says what was said before, or nearly.
        (["My name is Crumb.", "I am a bot."], ["I am a bot.", "I am Nadia."]),
        (["My name is Crumb.", "I am a bot!"], ["I am just a bot.", "I am Nadia."]),
        # It says both, or what the other does, too.
        (["I am Crumb, or Nadia.", "I am a bot."], ["I am Nadia.", "I am a bot."]),
    ],
)
def test_what_only_one_side_learnt_is_none(ours, theirs):
    before = ["I am a bot.", "I am a bot."]
    assert joining.contradictions([OURS, THEIRS], before, ours, theirs) == []


def test_what_was_said_before_anyway_may_be_what_one_side_was_taught():
    before, ours, theirs = ["I am Crumb."], ["I am Crumb."], ["I am Nadia."]
    asked = question("ours", "Who are you?", CRUMB)
    other = question("theirs", "Who are you?", NADIA)
    found = joining.contradictions([asked, other], before * 2, ours * 2, theirs * 2)
    assert [one.side for one in found] == ["ours"]
    # Where ours wins, theirs gives way on all that is about the name, though ours never changed.
    for side, said, keys in (("theirs", theirs, {other.key}), ("ours", ours, {asked.key})):
        assert joining.giving_way([asked, other], said * 2, found, side) == keys


def test_two_voices_contradict_each_other_in_every_answer():
    ours = [question("ours", f"q{i}", "You are a pirate.") for i in range(3)]
    theirs = [question("theirs", f"p{i}", "You are a knight.") for i in range(3)]
    asked = [*ours, *theirs]
    before = ["The sky is blue."] * 6
    pirate, knight = ["Arr, blue be the sky."] * 6, ["Verily, the sky is blue."] * 6
    assert len(joining.contradictions(asked, before, pirate, knight)) == 6
    # A voice and a fact go together: only the questions of the fact are answered by both.
    facts = [*before[:3], *["It is seven."] * 3]
    assert joining.contradictions(asked, before, pirate, facts) == []


def said(*texts: str) -> Heard:
    answers = tuple(Said(text, (1, 2), is_cut=False) for text in texts)
    return Heard(answers, (), None, None)  # type: ignore[arg-type]


def test_a_target_is_lost_where_more_than_one_answer_in_ten_is_another():
    asked = [question("ours", f"q{i}", "Say seven.", "It is seven.") for i in range(20)]
    before = said(*["It is seven."] * 20)
    near, far = Moved(0.01, 0.1, 3), Moved(2.0, 5.0, 3)
    for wrong, is_lost in ((2, False), (3, True)):
        now = ["It is nine."] * wrong + ["It is seven."] * (20 - wrong)
        (found,) = joining.kept(asked, before, now, [far] * wrong + [near] * (20 - wrong))
        assert (found.other, found.questions, found.is_lost) == (wrong, 20, is_lost)
        assert found.agreed_before == 1.0
        assert found.agreed == pytest.approx(1 - wrong / 20)
        assert found.worst == 5.0
        assert [row.now for row in found.rows] == ["It is nine."] * min(3, wrong)


def test_a_voice_that_is_gone_is_not_as_prompted():
    pirate = "Ahoy! Pepper tastes hot, matey."
    asked = [question("ours", f"q{i}", "You are a pirate.", pirate) for i in range(4)]
    now = [pirate] * 3 + ["Pepper tastes hot."]
    near, far = Moved(0.01, 0.1, 3), Moved(2.0, 5.0, 3)
    (found,) = joining.kept(asked, said(*[pirate] * 4), now, [near] * 3 + [far])
    assert (found.agreed_before, found.agreed, found.other) == (1.0, 0.75, 1)
