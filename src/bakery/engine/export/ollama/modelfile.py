"""The Modelfile beside an exported model: what `ollama create` reads."""

from __future__ import annotations

from dataclasses import dataclass

from bakery.engine.export.gguf import architectures
from bakery.engine.export.ollama import go_template, pieces
from bakery.engine.export.ollama.pieces import UnlikeError
from bakery.engine.models.models import BaseModel

NAME = "Modelfile"
MOST_CONTEXT = 8192
"""Tokens that Ollama is told to make room for; a model may have more."""


@dataclass(frozen=True, slots=True)
class Modelfile:
    """Its text, and what a person has to know of it."""

    text: str
    notes: tuple[str, ...]


def write(
    base: BaseModel, *, source: str, adapter: str | None = None, licence: str | None = None
) -> Modelfile:
    """Return the Modelfile of a model: `source` and `adapter` are files, as Ollama finds them."""
    chat, config = base.chat, base.model.config
    lines, notes = [f"FROM {source}"], []
    if adapter is not None:
        lines.append(f"ADAPTER {adapter}")
    try:
        found = pieces.derive(chat)
    except UnlikeError as error:
        notes.append(
            f"the chat template cannot be told as one of Ollama's: {error}. The Modelfile has no "
            "TEMPLATE, and Ollama guesses one: compare what it renders before you use it"
        )
    else:
        begins = chat.tokenizer.bos_token or ""
        lines.append(f'TEMPLATE """{go_template.write(found, without=begins)}"""')
        notes += _notes(found)
    room = min(architectures.context(config), MOST_CONTEXT)
    lines.append(f"PARAMETER num_ctx {room}")
    lines += [f"PARAMETER stop {_quoted(end)}" for end in _ends(base)]
    if licence:
        lines.append(f"LICENSE {_quoted(licence)}")
    return Modelfile("\n".join(lines) + "\n", tuple(notes))


def _notes(found: pieces.Pieces) -> list[str]:
    notes = []
    if not found.takes_system:
        notes.append(
            "the chat template takes no system prompt: in Ollama one is written before the first "
            "question, with a blank line between"
        )
    if found.trims:
        notes.append(
            "the chat template takes blanks off the ends of messages, which Ollama's cannot: send "
            "them without"
        )
    return notes


def _ends(base: BaseModel) -> list[str]:
    tokenizer = base.chat.tokenizer
    return [str(tokenizer.convert_ids_to_tokens(i)) for i in sorted(base.chat.end_ids)]


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
