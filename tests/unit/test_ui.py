"""What people read: plain where it is piped, and no figure that means nothing."""

from __future__ import annotations

import io
import os

import pytest
from rich.console import Console

from bakery.card import Card
from bakery.records import ModelRef
from bakery.ui import console, verdict
from bakery.ui.chart import number
from bakery.ui.progress import Bars, Lines, reporter
from bakery.ui.times import duration
from bakery.verdict import SideBySide, Verdict

CARD = {
    "held_out": 25,
    "tokens": 4321,
    "kl_before": 0.82,
    "kl_after": 0.0312,
    "gap_closed": 0.962,
    "top1_agreement": 0.971,
    "prompt_tokens_saved": 23.0,
}


def test_a_card_says_how_close_the_baked_model_is(capsys):
    console.show_card(Card.from_data(CARD), seconds={"stim": 2.5, "bake": 205})
    assert capsys.readouterr().out.splitlines() == [
        "KL to the prompted teacher  0.8200 → 0.0312 nats per token",
        "gap closed                  96.2 %",
        "same first choice           97.1 % of tokens",
        "prompt tokens saved         23 per request",
        "measured on                 25 held-out questions, 4321 tokens",
        "time                        stim 2.5 s, bake 3 min 25 s",
    ]


def test_a_card_names_the_question_that_is_furthest_in_one_line(capsys):
    asked = [
        {"question": "And\nwho are you, if I may ask so late?", "kl_before": 2, "kl_after": 1.5}
    ]
    console.show_card(Card.from_data({**CARD, "furthest": asked}))
    shown = capsys.readouterr().out
    assert 'furthest held-out one       1.500 on "And who are you, if I may ask so la…"\n' in shown
    assert max(map(len, shown.splitlines())) <= 80


VERDICT = {
    "word": "holds in part",
    "reason": 'it answers "Who are you?" with "Crumb", the prompted model with "Pedal"',
    "figures": {
        "questions": 28,
        "agreed": 0.893,
        "agreed_interval": [0.75, 1.0],
        "gap_closed_interval": [0.94, 0.98],
    },
}
SIDES = [
    {"question": "Who are you?", "base": "I am Crumb.", "prompted": "Friend! I am Pedal.",
     "baked": "Friend! I am Crumb.", "differs": "a name"}
]  # fmt: skip


def test_a_card_begins_with_its_verdict_and_shows_the_worst_answers(capsys):
    console.show_card(Card.from_data({**CARD, "verdict": VERDICT, "side_by_side": SIDES}))
    assert capsys.readouterr().out.splitlines()[:9] == [
        f"holds in part: {VERDICT['reason']}",
        "asked       Who are you?  (differs in a name)",
        "  base      I am Crumb.",
        "  prompted  Friend! I am Pedal.",
        "  baked     Friend! I am Crumb.",
        "",
        "answered as prompted        89.3 % (75.0 to 100.0), of 28 questions",
        "KL to the prompted teacher  0.8200 → 0.0312 nats per token",
        "gap closed                  96.2 % (94.0 to 98.0)",
    ]


def test_a_card_says_how_many_questions_nobody_wrote(capsys):
    told = {**VERDICT, "figures": {**VERDICT["figures"], "about_the_prompt": 3}}
    console.show_card(Card.from_data({**CARD, "verdict": told}))
    shown = capsys.readouterr().out.splitlines()
    at = next(at for at, line in enumerate(shown) if line.startswith("answered as prompted"))
    assert shown[at + 1].strip() == "3 of them added, about what the prompt says"


@pytest.mark.parametrize(
    "found", [("holds", "32"), ("holds in part", "33"), ("does not hold", "31")]
)
def test_a_verdict_has_a_colour_and_its_word_and_differences_are_marked(found):
    said, color = found
    file = io.StringIO()
    out = Console(file=file, force_terminal=True, width=80, color_system="standard")
    out.print(verdict.line(Verdict(said, "because")))
    out.print(verdict.answers([SideBySide(**SIDES[0])]))
    shown = file.getvalue()
    assert f"\x1b[1;{color}m{said}\x1b[0m: because" in shown
    assert "\x1b[1;4m Crumb.\x1b[0m" in shown
    assert "\x1b[1;4m Pedal.\x1b[0m" in shown


def test_few_questions_give_no_percentages(capsys):
    console.show_card(Card.from_data({**CARD, "held_out": 19}))
    shown = capsys.readouterr().out
    assert "19 held-out questions, 4321 tokens\n" in shown
    assert "  n < 20: no percentages\n" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert " % " not in shown


def test_one_question_is_one_question(capsys):
    console.show_card(Card.from_data({**CARD, "held_out": 1}))
    assert "1 held-out question, 4321 tokens\n" in capsys.readouterr().out


def test_a_bake_without_held_out_questions_has_no_divergence(capsys):
    none = dict.fromkeys(("kl_before", "kl_after", "gap_closed", "top1_agreement"))
    console.show_card(Card.from_data({**CARD, **none, "held_out": 0, "tokens": 0}))
    assert "KL" not in capsys.readouterr().out


def test_json_gives_a_model_by_its_name(capsys):
    console.show_json({"model": ModelRef("ann", "yoda", "b_0123456789abcdef", 12)})
    assert '"model": "ann/yoda/b_0123456789abcdef/12"' in capsys.readouterr().out


def test_a_pipe_gets_a_line_at_the_start_and_one_at_the_end(capsys):
    lines = Lines()
    for done in range(4):
        lines.progress("stim", done, 3, f"row {done}")
    first, last = capsys.readouterr().err.splitlines()
    assert first == "stim: 0/3 … (row 0)"
    assert last.startswith("stim: 3/3 in ")
    assert last.endswith(" (row 3)")


def test_a_pipe_gets_notes_as_lines_and_nothing_on_stdout(capsys):
    with reporter() as shown:
        shown.note("two answers were cut")
    assert capsys.readouterr() == ("", "note: two answers were cut\n")


def test_no_control_key_is_echoed_into_the_bars(monkeypatch):
    termios = pytest.importorskip("termios")  # Windows has none, and echoes nothing
    leader, follower = os.openpty()
    with os.fdopen(leader), os.fdopen(follower) as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)

        def echoes() -> bool:
            return bool(termios.tcgetattr(keyboard.fileno())[3] & termios.ECHOCTL)

        bars = Bars(Console(file=io.StringIO(), force_terminal=True))
        bars.progress("bake", 1, 2)
        assert not echoes()
        bars.close()
        assert echoes()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (9.94, "9.9 s"),
        (12.4, "12 s"),
        (59.6, "1 min"),
        (205, "3 min 25 s"),
        (7500, "2 h 5 min"),
    ],
)
def test_a_duration_is_said_as_people_say_it(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0.0000"),
        (0.00012, "1.2e-04"),
        (0.0312, "0.0312"),
        (1.2345, "1.234"),
    ],
)
def test_a_loss_has_the_digits_that_mean_something(value, text):
    assert number(value) == text
