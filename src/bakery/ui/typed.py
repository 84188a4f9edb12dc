"""What is typed in a chat, line by line: questions, slash commands, and blocks of several lines.

A block stands between two fences of three quotes; it may be a question, or what follows a command.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bakery.errors import ConfigError

FENCE = '"""'

MOST_REMEMBERED = 2000
"""Lines of earlier chats that are kept."""

_FENCED = re.compile(rf"(/\w*\s+)?{FENCE}(.*)", re.DOTALL)

Read = Callable[[bool], str | None]
"""Give the next line, None at the end; the flag says that a block is open."""


@dataclass(frozen=True, slots=True)
class Typed:
    """One thing that was typed: a question, or a command (`word` begins with a slash)."""

    word: str
    text: str


def typed(read: Read) -> Iterator[Typed]:
    """Yield everything that is typed; empty lines between are nothing."""
    while (line := read(False)) is not None:
        line = line.strip()
        fenced = _FENCED.fullmatch(line)
        if fenced:
            yield Typed((fenced[1] or "").strip(), _block(fenced[2], read))
        elif line.startswith("//"):
            yield Typed("", line[1:])
        elif line.startswith("/"):
            word, _, text = line.partition(" ")
            yield Typed(word, text.strip())
        elif line:
            yield Typed("", line)


def from_lines(lines: Iterable[str]) -> Read:
    """Return what reads from a file or a pipe."""
    source = iter(lines)

    def read(inside: bool) -> str | None:
        try:
            line = next(source, None)
        except UnicodeDecodeError as error:
            raise ConfigError(f"what is typed or piped in is not UTF-8 text: {error}") from error
        return None if line is None else line.rstrip("\r\n")

    return read


def from_terminal(inside: bool) -> str | None:
    """Ask a person for the next line; Ctrl-C drops the line, Ctrl-D ends the chat."""
    while True:
        try:
            return input("… " if inside and _shows("…") else ". " if inside else "\n> ")
        except EOFError:
            print()
            return None
        except KeyboardInterrupt:
            print("\n(Ctrl-D or /quit leaves)")


@contextlib.contextmanager
def line_editing(remembered: Path | None) -> Iterator[None]:
    """Give input() its line editing and the lines of earlier chats, where the system has it.

    `remembered` None: nothing is read and nothing kept.
    """
    try:
        import readline
    except ImportError:  # Windows
        yield
        return
    if remembered is None:
        yield
        return
    with contextlib.suppress(OSError):
        readline.read_history_file(remembered)
    readline.set_history_length(MOST_REMEMBERED)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # a chat is no worse for not being remembered
            remembered.parent.mkdir(parents=True, exist_ok=True)
            remembered.touch(mode=0o600)
            readline.write_history_file(remembered)


def history_file() -> Path:
    """Return where typed lines are kept: with the user's own state, never in a repository."""
    named = os.environ.get("LOCALAPPDATA" if os.name == "nt" else "XDG_STATE_HOME")
    state = Path(named) if named else Path.home() / ".local" / "state"
    return state / "bgit" / "chat_history"


def _block(first: str, read: Read) -> str:
    """Return the text up to the closing fence."""
    lines = [first]
    while not lines[-1].rstrip().endswith(FENCE):
        line = read(True)
        if line is None:
            raise ConfigError(
                f"a block that {FENCE} opened is not closed", hint=f"End it with {FENCE}."
            )
        lines.append(line)
    return "\n".join(lines).rstrip().removesuffix(FENCE).strip("\n")


def _shows(sign: str) -> bool:
    try:
        sign.encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
