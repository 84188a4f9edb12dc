"""A comparison in a chat: the question is shown, and what differs is marked."""

from __future__ import annotations

import pytest

from bakery.conversation import Answer, Conversation, Voice
from bakery.errors import ConfigError
from bakery.records import Prompt
from bakery.ui import chat, differing, slash
from bakery.ui.typed import Typed
from tests.unit.test_conversation import Echo, compared

TAUGHT = Prompt(({"role": "system", "content": "SHOUT"},))


def with_sides() -> Conversation:
    return Conversation([Voice("", Echo("k", strength=1.0))], beside=compared().voices)


def answers(**texts: str) -> list[Answer]:
    return [Answer(label, "m", text, "stop", 1) for label, text in texts.items()]


@pytest.mark.parametrize(
    ("reference", "text", "marked"),
    [
        ("Arr, I be Brine.", "Arr, I be Brine.", []),
        ("Arr, I be Brine.", "I am Brine.", ["am"]),
        ("Arr, I be Brine.", "I am Crumb.", ["am Crumb."]),
        ("", "Hello there", ["Hello there"]),
        ("Hello", "", []),
    ],
)
def test_words_that_the_prompted_answer_has_not_there_are_marked(reference, text, marked):
    found = differing.pieces(reference, text)
    assert "".join(piece for piece, _ in found) == text
    assert [piece.strip() for piece, differs in found if differs] == marked


def test_each_other_answer_is_summed_up():
    told = differing.summaries(
        answers(base="I am Crumb.", prompted="Arr, I be Brine.", baked="Arr, I be Brine.")
    )
    assert told == [
        "base      2 of 3 words not as prompted: am Crumb.",
        "baked     as prompted, word for word",
    ]
    assert differing.summaries(answers(prompted="One two", baked="One")) == [
        "baked     leaves out 1 word of what prompted says"
    ]
    assert differing.summaries(answers(base="One", baked="Two")) == []


def test_questions_that_came_with_the_command_are_shown_above_several_answers(capsys):
    chat.answer_messages(compared(), ["Who?"])
    out = capsys.readouterr().out
    assert out.startswith("> Who?\nbase: ")
    chat.answer_messages(with_sides(), ["Who?"])
    assert "> Who?" not in capsys.readouterr().out


def test_compare_asks_all_sides_and_remembers_nothing_of_it():
    conversation = with_sides()
    chat._follow(conversation.reply("One?"))
    obeyed = slash.obey(conversation, Typed("/compare", "Two?"))
    assert (obeyed.said, obeyed.ask) == ("> Two?", "Two?")
    assert obeyed.of is not None
    found = chat._follow(obeyed.of.reply("Two?"))
    assert [answer.label for answer in found] == ["base", "prompted", "baked"]
    # Without what the bake said before, and with the system prompt where it is taught.
    assert [answer.text for answer in found] == ["u Two?", "s/u Two?", "u Two?"]
    assert conversation.asked == ["One?"]
    assert all(not voice.turns for voice in conversation.beside)


def test_compare_without_a_text_asks_the_last_question_alone():
    conversation = with_sides()
    for question in ("One?", "Two?"):
        chat._follow(conversation.reply(question))
    obeyed = slash.obey(conversation, Typed("/compare", ""))
    assert obeyed.of is not None
    assert obeyed.ask == "Two?"
    assert chat._follow(obeyed.of.reply("Two?"))[0].text == "u Two?"


@pytest.mark.parametrize(
    ("conversation", "text", "says"),
    [
        (compared(), "x", "several answer already"),
        (with_sides(), "", "nothing was asked yet"),
        (Conversation([Voice("", Echo())]), "x", "no prompt to be compared with"),
    ],
)
def test_where_nothing_can_be_compared_compare_says_why(conversation, text, says):
    with pytest.raises(ConfigError, match=says):
        slash.obey(conversation, Typed("/compare", text))


def test_the_command_is_listed():
    (line,) = [row for row in slash.obey(compared(), Typed("/help", "")).said.splitlines()
               if "/compare TEXT" in row]  # fmt: skip
    assert line.endswith("last question, alone")
