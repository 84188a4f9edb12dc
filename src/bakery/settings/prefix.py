"""The context that is baked, read from a file: messages, or the text of a system prompt."""

from __future__ import annotations

from pathlib import Path

from bakery.errors import ConfigError
from bakery.records import Message
from bakery.settings import checks
from bakery.yaml import text as yaml_text


def read_file(path: Path) -> tuple[Message, ...]:
    """Return the messages of a .json or .yaml file: a list, or a list under `prefix_messages`."""
    document = yaml_text.parse(read_text(path), str(path))
    found = document
    under: tuple[str, ...] = ()
    if isinstance(document, dict):
        names = [name for name in ("prefix_messages", "messages") if name in document]
        under = (names[0],) if names else ()
        found = document[names[0]] if names else document
    problems = checks.messages(found, under)
    if problems:
        lines = []
        for problem in problems:
            line, column = yaml_text.position(document, problem.path)
            lines.append(f"{path}:{line}:{column}: {problem.name} {problem.text}".strip())
        raise ConfigError(
            "\n".join(lines), hint="A prefix is a list of {role: ..., content: ...} messages."
        )
    return tuple(yaml_text.plain(found))


def read_text(path: Path) -> str:
    """Return a text file without the line end that editors put behind it."""
    try:
        return path.expanduser().read_text(encoding="utf-8-sig").rstrip("\n")
    except FileNotFoundError as error:
        raise ConfigError(f"no such file: {path}") from error
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder, not a file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not text in UTF-8 (byte {error.start})", hint="Save it as UTF-8."
        ) from error
