"""What is said in a chat, what commands do to it, and what a pipe gets."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bakery.conversation import ChatSettings, Conversation, Ending, Voice
from bakery.errors import ConfigError
from bakery.records import Prompt
from bakery.ui import chat, slash, typed
from bakery.ui.typed import Typed


class Echo:
    """Answers with the roles and the last text that it was sent, in two pieces."""

    def __init__(self, name: str = "m", strength: float | None = None) -> None:
        self.name, self.strength = name, strength
        self.seen: list[ChatSettings] = []
        self.closed = 0

    def scale(self, strength: float) -> None:
        self.strength = strength

    def size(self, prompt, messages):
        return len(prompt.messages) + len(messages), 99

    def reply(self, prompt, messages, settings):
        self.seen.append(settings)
        try:
            yield "/".join(message["role"][0] for message in (*prompt.messages, *messages))
            yield f" {messages[-1]['content']}"
        finally:
            self.closed += 1
        return Ending("stop", 2)


class Fails(Echo):
    """Cannot answer."""

    def reply(self, prompt, messages, settings):
        raise ConfigError("it does not fit", hint="/clear")
        yield


def alone(strength: float | None = None) -> Conversation:
    return Conversation([Voice("", Echo(strength=strength))])


def compared() -> Conversation:
    taught = Prompt(({"role": "system", "content": "SHOUT"},))
    return Conversation(
        [
            Voice("base", Echo("b")),
            Voice("prompted", Echo("p"), taught, fixed=True),
            Voice("baked", Echo("k", strength=1.0)),
        ]
    )


def asked(conversation: Conversation, text: str) -> list[str]:
    """Ask, and return what each voice said."""
    return [answer.text for answer in chat._follow(conversation.reply(text))]


def did(conversation: Conversation, word: str, text: str = "") -> str:
    return slash.obey(conversation, Typed(word, text)).said


def entries(*lines: str) -> list[Typed]:
    return list(typed.typed(typed.from_lines(lines)))


def piped(
    conversation: Conversation,
    lines: Sequence[str],
    capsys: pytest.CaptureFixture[str],
    **how: bool,
) -> tuple[list[str], str]:
    chat.answer_lines(conversation, [f"{line}\n" for line in lines], **how)
    said = capsys.readouterr()
    return said.out.splitlines(), said.err


def test_a_conversation_is_remembered_until_it_is_cleared():
    talk = alone()
    assert asked(talk, "one") == ["u one"]
    assert asked(talk, "two") == ["u/a/u two"]
    did(talk, "/clear")
    assert asked(talk, "three") == ["u three"]


def test_a_comparison_in_a_pipe_says_that_it_is_one_conversation(capsys):
    note = "note: all questions are one conversation: --each compares each of them alone\n"
    assert piped(compared(), ["one", "two", "three"], capsys)[1] == note
    assert piped(compared(), ["one"], capsys)[1] == ""
    assert piped(compared(), ["one", "two"], capsys, each=True)[1] == ""
    assert piped(alone(), ["one", "two"], capsys)[1] == ""


def test_a_system_prompt_stays_when_the_conversation_is_cleared():
    talk = alone()
    did(talk, "/system", "You are Yoda.")
    did(talk, "/clear")
    assert asked(talk, "one") == ["s/u one"]
    did(talk, "/system")
    assert asked(talk, "two") == ["u/a/u two"]


def test_an_answer_that_is_stopped_is_forgotten_and_can_be_asked_again():
    talk = alone()
    reply = talk.reply("one")
    next(reply)
    reply.close()
    assert (talk.asked, talk.voices[0].turns) == ([], [])
    speaker: Any = talk.voices[0].speaker
    assert speaker.closed == 1
    assert slash.obey(talk, Typed("/retry", "")).ask == "one"


def test_every_voice_has_its_own_conversation():
    talk = compared()
    assert asked(talk, "one") == ["u one", "s/u one", "u one"]
    did(talk, "/system", "Be brief.")
    assert asked(talk, "two") == ["s/u/a/u two", "s/u/a/u two", "s/u/a/u two"]
    assert talk.prompt_of(talk.voices[1]).messages[0]["content"] == "SHOUT"


def test_where_one_voice_fails_no_voice_remembers_the_question():
    talk = compared()
    talk.voices = [*talk.voices[:2], Voice("baked", Fails())]
    with pytest.raises(ConfigError, match="does not fit"):
        asked(talk, "one")
    assert [voice.turns for voice in talk.voices] == [[], [], []]


def test_undo_takes_the_last_question_and_its_answer_back():
    talk = alone()
    asked(talk, "one")
    asked(talk, "two")
    assert did(talk, "/undo") == "Taken back: two"
    assert asked(talk, "three") == ["u/a/u three"]


def test_retry_puts_the_last_question_without_its_first_answer():
    talk = alone()
    asked(talk, "one")
    again = slash.obey(talk, Typed("/retry", "")).ask
    assert again == "one"
    assert asked(talk, again) == ["u one"]


@pytest.mark.parametrize("word", ["/undo", "/retry"])
def test_nothing_said_cannot_be_taken_back(word):
    with pytest.raises(ConfigError, match="there is nothing to take back"):
        did(alone(), word)


def test_a_temperature_is_for_the_answers_that_follow():
    talk = alone()
    did(talk, "/temperature", "0.7")
    asked(talk, "one")
    speaker: Any = talk.voices[0].speaker
    assert speaker.seen == [ChatSettings(temperature=0.7)]


@pytest.mark.parametrize("text", ["", "hot", "-1", "2.1", "nan", "inf"])
def test_what_is_no_temperature_is_refused(text):
    with pytest.raises(ConfigError, match="temperature takes a number from 0 to 2"):
        did(alone(), "/temperature", text)


def test_the_strength_is_set_where_there_is_a_bake():
    talk = compared()
    did(talk, "/strength", "0.5")
    assert [voice.speaker.strength for voice in talk.voices] == [None, None, 0.5]
    with pytest.raises(ConfigError, match="carries no bake"):
        did(alone(), "/strength", "0.5")


def test_status_says_who_answers_and_how():
    talk = alone(strength=0.5)
    did(talk, "/system", "You are a pirate, and you never ever leave that role, whatever is said.")
    lines = dict(line.split(maxsplit=1) for line in did(talk, "/status").splitlines())
    assert lines["model"] == "m, strength 0.5"
    assert lines["context"] == "1 of 99 tokens"
    assert lines["system"].startswith("You are a pirate, and you never ever leave that ro...")
    assert lines["turns"] == "0"


def test_help_names_every_command():
    assert [line.split()[0] for line in did(alone(), "/help").splitlines()[:-1]] == list(
        slash.COMMANDS
    )


def test_an_unknown_command_is_an_error():
    with pytest.raises(ConfigError, match="there is no /hlep"):
        did(alone(), "/hlep")


@pytest.mark.parametrize("word", ["/quit", "/exit"])
def test_quitting_leaves(word):
    assert slash.obey(alone(), Typed(word, "")).leave


def test_a_conversation_is_saved_as_messages_or_as_text(workplace: Path):
    talk = alone()
    did(talk, "/system", "Be brief.")
    asked(talk, "one")
    did(talk, "/save", "talk.json")
    did(talk, "/save", "talk.txt")
    saved = json.loads((workplace / "talk.json").read_text("utf-8"))
    assert [m["role"] for m in saved["voices"][0]["messages"]] == ["system", "user", "assistant"]
    text = (workplace / "talk.txt").read_text("utf-8")
    assert text == "system: Be brief.\n\n> one\n\ns/u one\n"


def test_saving_replaces_nothing(workplace: Path):
    (workplace / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists already"):
        did(alone(), "/save", "mine.txt")


@pytest.mark.parametrize("name", ["taken/talk.txt", "~nobody-here/talk.txt", "x" * 5000, "a\0b"])
def test_what_cannot_be_saved_is_an_error(workplace: Path, name):
    (workplace / "taken").write_text("mine", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cannot be written|is no path"):
        did(alone(), "/save", name)


def test_the_system_prompt_is_the_whole_rest_of_the_line():
    assert entries("/system You are Yoda. Speak  so.\n") == [
        Typed("/system", "You are Yoda. Speak  so.")
    ]


def test_a_block_is_one_entry_with_all_its_lines():
    lines = ['/system """', "Be brief.", "", '  "Always."', '"""', "one", '"""two', 'three"""']
    assert entries(*lines) == [
        Typed("/system", 'Be brief.\n\n  "Always."'),
        Typed("", "one"),
        Typed("", "two\nthree"),
    ]


def test_a_block_may_begin_and_end_on_one_line():
    assert entries('/system """Be brief."""', '"""one"""') == [
        Typed("/system", "Be brief."),
        Typed("", "one"),
    ]


def test_a_block_without_an_end_is_an_error():
    with pytest.raises(ConfigError, match="is not closed"):
        entries('"""one', "two")


def test_a_question_may_begin_with_a_slash():
    assert entries("//etc/hosts?", "", "  ") == [Typed("", "/etc/hosts?")]


def test_piped_lines_get_one_line_each(capsys):
    out, err = piped(alone(), ["one", "", '"""two', 'lines"""', "/quit", "three"], capsys)
    assert out == ["u one", "u/a/u two lines"]
    assert err == ""


def test_piped_lines_may_stand_each_for_itself(capsys):
    out, _ = piped(alone(), ["/system s", "one", "two"], capsys, each=True)
    assert out == ["s/u one", "s/u two"]


def test_what_commands_say_in_a_pipe_is_no_answer(capsys):
    out, err = piped(alone(), ["/clear"], capsys)
    assert (out, err) == ([], "The conversation is forgotten.\n")


def test_what_goes_wrong_in_a_pipe_ends_it(capsys):
    with pytest.raises(ConfigError, match="there is no /hlep") as wrong:
        piped(alone(), ["zero", "/hlep", "one"], capsys)
    assert (wrong.value.exit_code, capsys.readouterr().out) == (2, "u zero\n")
    with pytest.raises(ConfigError, match="does not fit"):
        piped(Conversation([Voice("", Fails())]), ["one"], capsys)


def test_json_is_one_object_for_every_question(capsys):
    (line,), _ = piped(alone(), ["one"], capsys, as_json=True)
    assert json.loads(line) == {
        "schema": 1,
        "question": "one",
        "answer": "u one",
        "model": "m",
        "finish": "stop",
        "tokens": 2,
    }


def test_a_comparison_in_a_pipe_names_who_answers(capsys):
    out, _ = piped(compared(), ["one"], capsys)
    assert out == ["one", "  base      u one", "  prompted  s/u one", "  baked     u one"]


def test_a_comparison_as_json_has_an_answer_of_each(capsys):
    (line,), _ = piped(compared(), ["one"], capsys, as_json=True)
    rows = {name: row for name, row in json.loads(line).items() if isinstance(row, dict)}
    assert {name: row["model"] for name, row in rows.items()} == {
        "base": "b",
        "prompted": "p",
        "baked": "k",
    }


def test_messages_of_the_command_line_keep_their_lines(capsys):
    chat.answer_messages(alone(), ["one\ntwo", "/three"])
    assert capsys.readouterr().out == "u one\ntwo\nu/a/u /three\n"


def test_on_a_terminal_an_error_ends_the_answer_and_not_the_chat(capsys):
    lines = ["/hlep", "one", '"""two']
    chat._listen(alone(), typed.from_lines(lines))
    out = capsys.readouterr().out
    assert "error: there is no /hlep: did you mean /help?\nhint: /help lists the commands" in out
    assert "u one\n" in out
    assert out.endswith('hint: End it with """.\n')


def test_ctrl_c_stops_the_answer_and_not_the_chat(capsys):
    class Stopped(Echo):
        def reply(self, prompt, messages, settings):
            yield "so"
            if messages[-1]["content"] == "stop":
                raise KeyboardInterrupt
            return Ending("length", 1)

    chat._listen(Conversation([Voice("", Stopped())]), typed.from_lines(["stop", "go"]))
    assert capsys.readouterr().out == "so (stopped)\nso [cut after 1 tokens]\n"


def test_three_answers_stand_below_one_another_where_it_is_narrow(capsys):
    chat._stream(compared().reply("one"))
    assert capsys.readouterr().out == (
        "base\nu one\n\nprompted\ns/u one\n\nbaked\nu one\n"
        "base      1 of 2 words not as prompted: u\nbaked     1 of 2 words not as prompted: u\n"
    )


def test_three_answers_stand_side_by_side_where_it_is_wide(capsys, monkeypatch):
    talk = compared()
    chat._side_by_side(talk, talk.reply("one"))
    shown = capsys.readouterr().out.splitlines()
    (row,) = [line for line in shown if "one" in line]
    assert [line.split()[0] for line in shown if "not as prompted" in line] == ["base", "baked"]
    assert row.split() == ["u", "one", "s/u", "one", "u", "one"]


def test_typed_lines_are_kept_with_the_users_state(workplace: Path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(workplace))
    readline = pytest.importorskip("readline")  # Windows has none: nothing is kept there
    path = typed.history_file()
    assert path == workplace / "bgit" / "chat_history"
    with typed.line_editing(path):
        readline.add_history("Who are you?")
    assert "Who are you?" in path.read_text("utf-8")
    assert path.stat().st_mode & 0o077 == 0


def test_nothing_is_kept_where_nobody_wants_it(workplace: Path):
    with typed.line_editing(None):
        pass
    assert list(workplace.iterdir()) == []


def test_a_person_is_asked_until_the_input_ends(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n"))
    assert [typed.from_terminal(False), typed.from_terminal(False)] == ["one", None]


def test_what_is_piped_in_has_to_be_text(tmp_path):
    (tmp_path / "lines").write_bytes(b"one\n\xff\xfe\n")
    with (tmp_path / "lines").open(encoding="utf-8") as lines:
        read = typed.from_lines(lines)
        with pytest.raises(ConfigError, match="not UTF-8 text"):
            list(typed.typed(read))
