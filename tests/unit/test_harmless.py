"""Text of others on a terminal: shown, never obeyed."""

from __future__ import annotations

import io
import json

import pytest
from rich.table import Table
from rich.text import Text

from bakery.ui.console import say_data, say_file
from bakery.ui.harmless import HarmlessConsole, harmless, harmless_json
from bakery.ui.jobs import follow

CLIPBOARD = "\x1b]52;c;cm0gLXJmIH4=\x07"
CLEAR = "\x1b[2J\x1b[1;1H"
ONE_BYTE = "\x9b2J"
TURN = "\u202e"


def drawn(*shown: object) -> str:
    file = io.StringIO()
    HarmlessConsole(file=file, width=60, force_terminal=True, color_system="standard").print(*shown)
    return file.getvalue()


@pytest.mark.parametrize("text", [CLIPBOARD, CLEAR, ONE_BYTE, "a\rb", "a\x08b", "\x7f"])
def test_what_would_steer_a_terminal_is_spelled_out(text):
    assert harmless(text).isprintable()
    assert "\\x" in harmless(text)


@pytest.mark.parametrize("code", [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x61C])
def test_what_would_turn_the_direction_of_writing_is_spelled_out(code):
    assert harmless(f"a{chr(code)}b") == f"a\\u{code:04x}b"
    assert chr(code) not in drawn(Text(f"a{chr(code)}b"))
    text = harmless_json(json.dumps(chr(code), ensure_ascii=False))
    assert chr(code) not in text
    assert json.loads(text) == chr(code)


def test_what_a_pipe_gets_steers_nothing(capsys):
    say_data(f"hi{CLIPBOARD}{TURN}")
    say_file(f"a: {CLEAR}\n")
    out = capsys.readouterr().out
    assert out == f"{harmless(CLIPBOARD).join(('hi', ''))}\\u202e\na: {harmless(CLEAR)}\n"


def test_a_file_gets_what_a_file_says(tmp_path, monkeypatch):
    with (tmp_path / "out").open("w", encoding="utf-8", newline="") as out:
        monkeypatch.setattr("sys.stdout", out)
        say_file(f"a: {CLEAR}{TURN}\r\n")
    assert (tmp_path / "out").read_bytes().decode() == f"a: {CLEAR}{TURN}\r\n"


def test_a_log_is_shown_harmless(capsys):
    follow(lambda: f"made {CLEAR}\n".encode(), lambda: True, lambda: None)
    assert capsys.readouterr().out == f"made {harmless(CLEAR)}\n"


def test_lines_tabs_and_every_other_sign_stay():
    text = "one\n\ttwo — 日本語 😀"
    assert harmless(text) == text
    assert harmless("one\r\ntwo") == "one\ntwo"


def test_a_console_styles_text_and_lets_no_text_do_so():
    table = Table()
    table.add_column(CLEAR)
    table.add_row(Text(f"yoda{CLIPBOARD}{ONE_BYTE}", style="bold"))
    out = drawn(table, f"plain{CLEAR}")
    assert "\x1b[1m" in out, "its own style is there"
    for sign in (CLIPBOARD, CLEAR, "\x9b", "\x07"):
        assert sign not in out


def test_json_says_the_same_without_control_characters():
    value = {"name": f"a\x7f{ONE_BYTE}{CLEAR}"}
    text = harmless_json(json.dumps(value, ensure_ascii=False))
    assert json.loads(text) == value
    assert text.isprintable()
