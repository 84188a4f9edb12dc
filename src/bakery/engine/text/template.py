"""What a chat template writes before a question by itself, found without loading a model.

Many write a system prompt where nobody gave one. No prompt that is baked can take its place, so
what a request costs does not fall to nothing. Only the files of a base are read here: rendering
for a model is `engine.text.chat`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bakery import bounded, json_file
from bakery.engine.bases import bases, folders
from bakery.engine.bases.gguf import header, kept
from bakery.engine.text import ends
from bakery.errors import ModelError
from bakery.identity import BaseModelId
from bakery.records import Message

Render = Callable[[Sequence[Message], bool], str]
"""Messages, and whether the answer's header follows, to text."""

DAY = datetime(2024, 7, 26, tzinfo=UTC)
"""Today, for templates that ask: answers of one day are learnt behind prompts of another."""

_UNREAD = (
    ModelError, bounded.BeyondError, bounded.FailedError,
    OSError, ValueError, TypeError, KeyError, RecursionError,
)  # fmt: skip
_ASKED: Message = {"role": "user", "content": "?"}
_SAID: Message = {"role": "assistant", "content": "."}
_SIGNS = re.compile(r"<\|[^|]*\|>|</?s>|<bos>|\[/?INST\]|<<?/?SYS>>?")


@dataclass(frozen=True, slots=True)
class Own:
    """What a template writes by itself: as a person reads it, and its tokens (None: unknown)."""

    text: str
    tokens: int | None


def own_prompt(base: BaseModelId) -> Own | None:
    """Return what a base's template writes where nobody gives a system prompt; None: nothing.

    None also where the base is not on this machine, or its template cannot be read so.
    """
    try:
        folder, source = _read(base)
        told = before_question(_render(source, _special(folder)), []) if source else ""
    except _UNREAD:
        return None
    return Own(readable(told), _count(folder, told)) if told else None


def unnamed_end(base: BaseModelId) -> str | None:
    """Return a sentence where a base's template ends turns with what nothing names as an end.

    None also where the base is not on this machine, or was not unpacked yet.
    """
    try:
        folder, source = _read(base)
        if source is None or not (folder / "tokenizer.json").is_file():
            return None
        render, special = _render(source, _special(folder)), _special(folder)
        tokens = dict(folders.added_tokens(_json(folder / "tokenizer.json")))
        said = [_json(folder / f"{name}.json") for name in ("generation_config", "config")]
        named = [tokens.get(i, "") for i in ends.ids(*(one.get("eos_token_id") for one in said))]
        named = [text for text in (*named, special["eos_token"]) if text]
        return ends.unnamed(lambda said: render(said, False), tokens.values(), named)
    except _UNREAD:
        return None


def _read(base: BaseModelId) -> tuple[Path, str | None]:
    """Return where a base's files lie, and its template (None: it has none that can be read)."""
    place, _ = bases.locate(base.name, base.revision)
    folder = kept.place(base.digest) if place.is_file() else place
    return folder, _template(folder) or (_of_gguf(place) if place.is_file() else None)


def before_question(render: Render, prompt: Sequence[Message]) -> str:
    """Return what is rendered before a first question, beside the turn itself; "": no words."""
    whole = render([*prompt, _ASKED], True)
    begun = render([_ASKED, _SAID], False)
    longer = render([_ASKED, _SAID, _ASKED], True)
    turn = longer[len(begun) :]
    if not longer.startswith(begun) or not turn or not whole.endswith(turn):
        return ""
    told = whole[: -len(turn)]
    return told if readable(told) else ""


def readable(text: str) -> str:
    """Return rendered text without a template's own signs, nor the name of the role."""
    words = " ".join(_SIGNS.sub(" ", text).split())
    return words.removeprefix("system ").strip()


def _template(folder: Path) -> str | None:
    path = folder / "chat_template.jinja"
    if path.is_file():
        return path.read_text(encoding="utf-8")
    found = _json(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(found, list):
        found = {one["name"]: one["template"] for one in found}.get("default")
    return found if isinstance(found, str) else None


def _of_gguf(path: Path) -> str | None:
    found = header.read(path).metadata.get("tokenizer.chat_template")
    return found if isinstance(found, str) else None


def _special(folder: Path) -> dict[str, str]:
    """Return the tokens that templates call by name."""
    config = _json(folder / "tokenizer_config.json")
    found = {name: config.get(name) for name in ("bos_token", "eos_token", "pad_token")}
    texts = {name: t.get("content") if isinstance(t, Mapping) else t for name, t in found.items()}
    return {name: text or "" for name, text in texts.items()}


def _render(source: str, special: Mapping[str, str]) -> Render:
    """Return what renders a template as transformers does, within limits."""

    def render(messages: Sequence[Message], answering: bool) -> str:
        return str(bounded.call(_rendered, source, dict(special), list(messages), answering))

    return render


def _rendered(
    source: str, special: Mapping[str, str], messages: Sequence[Message], answering: bool
) -> str:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols]
    )
    environment.filters["tojson"] = lambda value, **how: json.dumps(value, ensure_ascii=False)
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = DAY.strftime
    return environment.from_string(source).render(
        messages=messages, add_generation_prompt=answering, tools=None, **special
    )


def _refuse(message: str) -> Any:
    raise TemplateError(message)


def _count(folder: Path, text: str) -> int | None:
    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    from tokenizers import Tokenizer  # here: most templates write nothing by themselves

    return len(Tokenizer.from_file(str(path)).encode(text, add_special_tokens=False).ids)


def _json(path: Path) -> Mapping[str, Any]:
    found = (
        json_file.load(path, most=folders.TOKENIZER_BYTES, strict=False) if path.is_file() else None
    )
    return found if isinstance(found, Mapping) else {}
