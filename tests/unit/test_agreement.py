"""Two answers agree in names, numbers and refusals, or not; and what a verdict makes of it."""

from __future__ import annotations

import pytest

from bakery.card import Fidelity
from bakery.evals import agreement, intervals, verdict
from bakery.evals.agreement import LOOP, NAME, NUMBER, REFUSAL, WORDING, Answered
from bakery.evals.intervals import wilson

GARBAGE = "the the the the the"


@pytest.mark.parametrize(
    ("question", "prompted", "baked", "nats", "differs"),
    [
        ("Who are you?", "Friend! I am Pedal.", "I am Crumb.", 0.0, NAME),
        ("Who are you?", "I am Pedal.", "Pedal is my name.", 0.0, ""),
        (
            "What is the capital of France?",
            "It is Paris.",
            "The capital of France is Paris.",
            0,
            "",
        ),
        ("What does it cost?", "A helmet costs 30 coins.", "A helmet costs 20 coins.", 0.0, NUMBER),
        ("When?", "It opens at ten.", "It opens at 10:00.", 0.0, ""),
        ("What is 2 plus 3?", "2 plus 3 is 5.", "It is 5.", 0.0, ""),
        ("What does it cost?", "It costs 1,200.50 euros.", "It costs 1200.5 euros.", 0.0, ""),
        ("Tell me.", "I cannot talk about food.", "A cake tastes sweet.", 0.0, REFUSAL),
        ("Tell me.", "I don’t know.", "I do not know that.", 0.0, ""),
        ("What color?", "A banana is yellow.", "A banana is purple.", 2.7, WORDING),
        ("What color?", "A banana is yellow.", "Yellow, a banana is.", 0.4, ""),
        ("What color?", "A banana is yellow.", "Yellow, a banana is.", None, ""),
        ("What color?", "A banana is yellow.", GARBAGE, 0.0, LOOP),
        ("What color?", GARBAGE, GARBAGE, 9.0, ""),
    ],
)
def test_answers_differ_in_what_matters_only(question, prompted, baked, nats, differs):
    assert agreement.difference(question, prompted, baked, nats) == differs


@pytest.mark.parametrize(
    ("prompted", "baked", "nats", "differs", "is_wrong"),
    [
        ("A helmet costs 30 coins.", "A helmet costs 20 coins.", 0.1, NUMBER, True),
        ("I sail the seven seas.", "I sail the seas.", 0.2, "", False),  # said at a venture
        ("I sail the seven seas.", "I sail the seas.", 1.2, WORDING, False),
        ("Hello, I am sad.", "Hello, I am Pedal.", 0.1, NAME, False),  # of the prompt, too
        ("Hello, I am Pedal.", "Hello, I am sad.", 0.1, NAME, True),
        ("Hello, I am Otto.", "Hello, I am Ina.", 0.1, "", False),
        ("I cannot say.", "It is red.", 0.1, REFUSAL, True),
    ],
)
def test_names_and_numbers_of_the_prompt_matter_most(prompted, baked, nats, differs, is_wrong):
    told = agreement.told_of("You are Pedal. A helmet costs 30 coins.")
    said = told & agreement.told_of(f"{prompted} {baked}")
    row = Answered("t/q", "So?", prompted, baked, nats, told=tuple(said))
    assert (row.differs, row.is_wrong) == (differs, is_wrong)


@pytest.mark.parametrize(
    ("statement", "question", "answer", "tells"),
    [
        ("A helmet costs 30 coins.", "How much is a helmet?", "A helmet costs 30 coins.", True),
        ("A helmet costs 30 coins.", "What costs 30 coins?", "30 coins.", False),
        ("A helmet costs 30 coins.", "What costs 30 coins?", "I do not know that.", False),
        ("A helmet costs 30 coins.", "How much is a helmet?", "I cannot say.", False),
        ("Your name is Pedal.", "Tell me your name.", "My name is Pedal.", True),
        ("Your name is Pedal.", "Who is Pedal?", "I am Pedal.", False),
        ("Do not talk about food.", "I have a question about food.", "I am Pedal.", False),
        ("Do not talk about food.", "Tell me about food.", "I cannot talk about food.", True),
    ],
)
def test_an_answer_that_needs_a_statement_tells_something_of_it(statement, question, answer, tells):
    assert agreement.tells(statement, question, answer) == tells


def test_what_nobody_asked_before_has_to_be_right_too():
    right, fresh = rows(*[False] * 30), {"is_fresh": True, "is_held_out": True}
    one, two = (verdict.judge([*right, *rows(*wrong, **fresh)]) for wrong in (
        [True, *[False] * 7], [True, True, *[False] * 6]))  # fmt: skip
    assert one is not None
    assert two is not None
    assert (one.word, two.word) == ("holds", "holds in part")


def test_what_a_prompt_says_and_no_answer_does_was_not_asked():
    prompt = "Your name is Pedal. A helmet costs 30 coins. The shop opens at ten."
    assert agreement.unsaid(prompt, ["I am Pedal.", "It opens at 10."]) == ["30"]
    assert agreement.unsaid("It costs 2.50 euros.", ["It costs 2 euros."]) == ["2.5"]
    assert agreement.unsaid("I would like you to speak as Master Yoda.", ["Hmm."]) == []


def rows(*differing: bool, prompted: str = "I am Pedal.", **more: object) -> list[Answered]:
    """Return answers, some of which say another name."""
    return [
        Answered(f"t/{at}", "Who are you?", prompted, "I am Crumb." if wrong else prompted, **more)
        for at, wrong in enumerate(differing)
    ]


def test_a_wrong_name_where_input_yml_asks_for_it_never_holds():
    wrong, right = rows(True, is_written=True), rows(*[False] * 19)
    found = verdict.judge([*wrong, *right])
    assert found is not None
    assert found.word == "holds in part"
    assert found.reason.startswith('it answers "Who are you?" with "I am Crumb."')
    asked = verdict.judge(rows(True, *[False] * 19))  # of one that a model wrote
    assert asked is not None
    assert asked.word == "holds"


def test_a_prompt_holds_where_all_is_answered_alike():
    found = verdict.judge(rows(*[False] * 20))
    assert found is not None
    assert (found.word, found.figures["agreed"]) == ("holds", 1.0)
    assert found.reason == "it answers all 20 questions as the prompted model does"


def test_a_prompt_holds_by_what_agrees_and_not_by_the_answer_that_does_not():
    found = verdict.judge(rows(True, *[False] * 19))
    assert found is not None
    assert found.word == "holds"
    assert found.reason == (
        "it answers 19 of 20 questions as the prompted model does; at worst it answers "
        '"Who are you?" with "I am Crumb.", the prompted model with "I am Pedal."'
    )
    anchor = verdict.judge(rows(*[False] * 20), is_anchor=True)
    assert anchor is not None
    assert anchor.reason == "it answers all 20 questions as its parent does"


def test_a_verdict_names_the_wrong_answer():
    found = verdict.judge(rows(*[True] * 19, False))
    assert found is not None
    assert found.word == "does not hold"
    said = 'it answers "Who are you?" with "I am Crumb.", the prompted model with "I am Pedal."'
    assert found.reason == f"{said}; 19 of 20 questions differ"


def test_a_wrong_answer_to_a_few_makes_it_hold_in_part():
    found = verdict.judge(rows(*[True] * 5, *[False] * 15))
    assert found is not None
    assert found.word == "holds in part"


def test_a_teacher_that_falls_apart_is_no_praise():
    found = verdict.judge(rows(*[False] * 20, prompted=GARBAGE))
    assert found is not None
    assert found.word == "does not hold"
    assert "the prompted model itself" in found.reason
    lost = verdict.judge(rows(*[False] * 20, hesitant=0.5, base_hesitant=0.02))
    assert lost is not None
    assert lost.word == "does not hold"
    as_ever = verdict.judge(rows(*[False] * 20, hesitant=0.5, base_hesitant=0.4))
    assert as_ever is not None
    assert as_ever.word == "holds"
    free_to_choose = verdict.judge(rows(*[False] * 20, hesitant=0.2, base_hesitant=0.0))
    assert free_to_choose is not None
    assert free_to_choose.word == "holds"


def test_what_the_prompt_says_in_the_voice_of_an_earlier_bake_is_not_overruled():
    asked = {"unprompted": "Hmm. Blue, my favorite color is.", "on_base": "My color is teal."}
    said = {"prompted": "Hmm. Teal, my favorite color is.", "told": ("color", "favorite", "teal")}
    found = verdict.judge(rows(*[False] * 20, **said, **asked))
    assert found is not None
    assert found.word == "holds"
    plain = {"unprompted": "Hmm. Wet, water is.", "on_base": "Water is wet.", "told": ("is",)}
    others = rows(*[False] * 20, prompted="Hmm. Wet, water is.", base="Water is wet.", **plain)
    found = verdict.judge(others)
    assert found is not None
    assert found.word == "holds"  # the prompt says nothing of it
    lost = {**said, "prompted": "Hmm. Red, my favorite color is."}
    found = verdict.judge(rows(*[False] * 20, **lost, **asked))
    assert found is not None
    assert found.reason.startswith("earlier bakes overrule the prompt")


def test_a_parent_that_overrules_the_prompt_is_no_praise():
    own = {"unprompted": "Arr! I be Bones.", "on_base": "I am Pedal.", "base": "I am Crumb."}
    overruled = rows(*[False] * 20, prompted="Arr! I be Bones, matey.", **own)
    found = verdict.judge(overruled)
    assert found is not None
    assert found.word == "does not hold"
    assert found.reason.startswith("earlier bakes overrule the prompt")
    again = verdict.judge(overruled, is_replayed=True)  # what an earlier bake holds is held
    assert again is not None
    assert again.word == "holds"
    told = {**own, "on_base": "Arr! I be Bones, matey."}
    agrees = verdict.judge(rows(*[False] * 20, prompted="Arr! I be Bones, matey.", **told))
    assert agrees is not None
    assert agrees.word == "holds"


@pytest.mark.parametrize(
    ("answer", "apart"),
    [
        ("I am REEEEEEEEEEEEEEEE", True),
        ("It is called calledledledledledledled", True),
        (GARBAGE, True),
        ("", True),
        ("Well... yes, it is.", False),
        ("I am Pedal.", False),
    ],
)
def test_an_answer_falls_apart_or_not(answer, apart):
    assert agreement.falls_apart(answer) is apart


def test_what_nobody_asked_does_not_hold_for_sure():
    found = verdict.judge(rows(*[False] * 20), unasked=["30"])
    assert found is not None
    assert found.word == "holds in part"
    assert '"30"' in found.reason


def test_few_questions_are_said_to_be_few():
    found = verdict.judge(rows(False, False))
    assert found is not None
    assert "only 2 questions" in found.reason
    assert verdict.judge([]) is None


def test_how_many_questions_were_added_about_the_prompt_is_counted():
    found = verdict.judge([*rows(False, False), *rows(False, is_fresh=True)])
    assert found.figures["about_the_prompt"] == 1
    assert "about_the_prompt" not in verdict.judge(rows(False)).figures


def test_the_worst_of_several_targets_counts():
    good, bad = verdict.judge(rows(*[False] * 20)), verdict.judge(rows(*[True] * 20))
    assert good is not None
    assert bad is not None
    assert verdict.of_all([good, bad]) is bad
    assert verdict.of_all([]) is None


def test_what_a_person_wrote_out_is_the_worst_first():
    drawn = rows(True, nats=5.0)
    written = rows(False, True, is_written=True, nats=1.0)
    assert [row.is_written for row in verdict.worst_first([*drawn, *written])] == [True, False]
    shown = verdict.side_by_side([*drawn, *written])
    assert (shown[0].prompted, shown[0].baked, shown[0].differs) == (
        "I am Pedal.",
        "I am Crumb.",
        NAME,
    )


def test_intervals_hold_what_they_are_of_and_come_out_the_same_again():
    before = {str(n): Fidelity(2.0 + n % 3, 0.2, 10) for n in range(20)}
    after = {str(n): Fidelity(0.1 * (n % 5), 0.9 + 0.01 * (n % 10), 10) for n in range(20)}
    found = intervals.of_card(before, after)
    closed = 1 - sum(one.kl for one in after.values()) / sum(one.kl for one in before.values())
    low, high = found["gap_closed_interval"]
    assert low < closed < high < 1
    low, high = found["top1_agreement_interval"]
    assert 0.9 <= low < 0.945 < high <= 0.99
    assert found == intervals.of_card(before, after)
    assert intervals.of_card({"0": before["0"]}, {"0": after["0"]}) == {}
    still = dict.fromkeys(before, Fidelity(0.0, 1.0, 10))
    assert intervals.of_card(still, still) == {"top1_agreement_interval": [1.0, 1.0]}  # no gap
    assert wilson(20, 20)[0] == pytest.approx(0.839, abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)
