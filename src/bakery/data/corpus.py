"""A text that becomes the teacher's system prompt: papers, plain text, a list.

Which part of the configuration asks for it is decided in `settings`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bakery.data.columns import Unread
from bakery.data.sources import as_warning, items_of
from bakery.errors import ConfigError, StageError
from bakery.settings.prefix import DATA_BYTES, read_text

TEMPLATES = {
    "papers": "You have read these papers and answer from them:\n\n{corpus}",
    "text": "You have read this text and answer from it:\n\n{corpus}",
    "list": "You know these things and answer from them:\n\n{corpus}",
}
_WRAPPERS = ("papers", "documents", "articles", "items", "entries", "list", "corpus", "data")
_ABOUT = ("title", "authors", "year")
_BODY = ("abstract", "summary", "content", "text", "body")
_PLACES = (*_BODY, "title", "name")


def load_corpus(path: str | Path, corpus_format: str = "papers") -> str:
    """Return the text of a corpus file, as it goes into the prompt."""
    text = read_text(Path(path), at_most=DATA_BYTES)
    if corpus_format in ("text", "custom"):
        found = text
    elif corpus_format == "papers":
        items = items_of(text, str(path), _WRAPPERS)
        found = "\n\n".join(_paper(item, f"{path}: paper {n}") for n, item in enumerate(items, 1))
        _say_unread(items, str(path), "paper", _ABOUT)
    elif corpus_format == "list":
        lines = text.splitlines()
        items = items_of(text, str(path), _WRAPPERS) if text.lstrip()[:1] in ("[", "{") else lines
        found = "\n".join(
            f"- {_thing(item, f'{path}: item {n}')}" for n, item in enumerate(items, 1) if item
        )
        _say_unread(items, str(path), "item", ())
    else:
        raise ConfigError(
            f"unknown corpus_format {corpus_format!r}", hint="Known: papers, text, list, custom."
        )
    if not found.strip():
        raise StageError(f"{path} is empty", hint="A corpus needs some text.")
    return found


def build_system_prompt(
    corpus: str, template: str | None = None, *, corpus_format: str = "text"
) -> str:
    """Put the corpus into a template at `{corpus}`; other braces stay as they are."""
    template = TEMPLATES.get(corpus_format) if template is None else template
    if template is None:
        raise ConfigError(
            f"corpus_format {corpus_format} has no prompt of its own",
            hint="Give a system_prompt_template with {corpus} in it.",
        )
    if "{corpus}" not in template:
        raise ConfigError(
            "the system_prompt_template has no {corpus} in it",
            hint="Write {corpus} where the text should go.",
        )
    return template.replace("{corpus}", corpus)


def _paper(item: Any, where: str) -> str:
    if isinstance(item, str):
        return item
    body = next((item[key] for key in _BODY if item.get(key)), None) if _is_map(item) else None
    if not isinstance(body, str):
        raise StageError(f"{where}: expected a title and one of {', '.join(_BODY)}")
    authors = item.get("authors", "")
    by = ", ".join(map(str, authors)) if isinstance(authors, list) else str(authors)
    about = ", ".join(part for part in (by, str(item.get("year", ""))) if part)
    head = [f"# {item['title']}"] if item.get("title") else []
    return "\n".join([*head, *([about] if about else []), *([""] if head else []), body])


def _thing(item: Any, where: str) -> str:
    if _is_map(item):
        text = next((item[key] for key in _PLACES if item.get(key)), None)
        return str(text) if isinstance(text, str) else json.dumps(item, ensure_ascii=False)
    if isinstance(item, list) or item is None:
        raise StageError(f"{where}: expected a text")
    return str(item)


def _say_unread(items: Sequence[Any], name: str, unit: str, read: Sequence[str]) -> None:
    """Name what is no part of the text: of an item only one text is."""
    unread = Unread(unit)
    for item in items:
        body = next((key for key in _PLACES if item.get(key)), None) if _is_map(item) else None
        if body is not None and isinstance(item[body], str):
            unread.add(item, {*read, body})
    for said in unread.notes(name):
        as_warning(said)


def _is_map(item: Any) -> bool:
    return isinstance(item, Mapping)
