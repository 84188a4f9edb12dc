"""What a new repository should bake first: a prompt of one's own, or a template of the gallery.

A draft is the files that `bgit init` leaves to be edited and committed, input.yml among them.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from bakery import schema
from bakery.errors import ConfigError
from bakery.paths import expanded
from bakery.repo.files.names import ABOUT, INPUT
from bakery.schema.data_sets import FILE_KINDS, leaves_repository
from bakery.schema.sources import MAX_TEXT_BYTES
from bakery.settings import prefix
from bakery.yaml.text import nearest

Draft = Mapping[str, bytes]
"""Files by their paths in the repository."""

_PLAIN = re.compile(r"[A-Za-z][\w./-]*\.[A-Za-z]+", re.ASCII)

_BROKEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What would end a comment or a text of input.yml, or cannot be written there."""

FOR_TINY = ("persona",)
"""Templates whose prompt the shipped model obeys."""


@dataclass(frozen=True, slots=True)
class Template:
    """One entry of the gallery."""

    name: str
    what: str
    """Its README's title."""


def templates() -> list[Template]:
    """Return the gallery, by name."""
    folders = [entry for entry in _gallery().iterdir() if entry.joinpath(INPUT).is_file()]
    return sorted(
        (Template(folder.name, _title(folder)) for folder in folders), key=lambda one: one.name
    )


def of_template(name: str) -> Draft:
    """Return the files of a template; where there is none of that name, say which there are."""
    known = templates()
    if name not in [one.name for one in known]:
        guess = nearest(name, [one.name for one in known])
        wide = max(len(one.name) for one in known)
        listed = "\n".join(f"  {one.name:<{wide}}  {one.what}" for one in known)
        told = f"there is no template {name!r}" if name else "which template?"
        raise ConfigError(
            told + (f": did you mean `{guess}`?" if guess else ""), hint=f"There are:\n{listed}"
        )
    folder = _gallery().joinpath(name)
    return {
        ABOUT if entry.name == "README.md" else entry.name: entry.read_bytes()
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
    }


def of_prompt(prompt: Path, questions: Path | None, *, folder: Path, name: str) -> Draft:
    """Return the files that bake a prompt's file, which keeps being one.

    As text of its own it needs no indentation, is edited as what it is, and git shows what changed
    of it line by line. `name` is the repository's.
    """
    if prompt.suffix.lower() in (".json", ".yaml", ".yml"):
        raise ConfigError(
            f"--prompt {prompt}: a prompt is text here",
            hint="A list of messages goes into PROMPT of input.yml: `bgit init` without --prompt, "
            "then edit it.",
        )
    if not prefix.read_text(prompt, at_most=MAX_TEXT_BYTES).strip():
        raise ConfigError(f"{prompt} is empty: there is nothing to bake")
    suffix = prompt.suffix.lower() if prompt.suffix.lower() in (".md", ".txt") else ".txt"
    draft = {_place(prompt, folder, f"prompt{suffix}"): prefix.read_bytes(prompt)}
    (prompt_at,) = draft
    generator = _WRITTEN
    if questions is not None:
        at = _place(questions, folder, f"questions{questions.suffix.lower()}")
        draft[at] = _questions(questions)
        generator = _DRAWN.format(dataset=_scalar(at))
    text = _INPUT.format(
        added=shlex.join([INPUT, *draft]),
        prompt=_scalar(prompt_at),
        generator=generator,
        name=f"{name[:90]}_bake",
    )
    schema.load(text, source=f"{INPUT} for {prompt}", read=draft.__getitem__)
    return {INPUT: text.encode(), **draft}


def _questions(path: Path) -> bytes:
    if path.suffix.lower() not in FILE_KINDS:
        raise ConfigError(
            f"--questions {path} is not a kind of file that holds questions",
            hint=f"One question a line in a .txt, or one of {', '.join(FILE_KINDS)}.",
        )
    if path.suffix.lower() == ".txt" and not (
        prefix.read_text(path, at_most=prefix.DATA_BYTES).strip()
    ):
        raise ConfigError(f"{path} is empty: it has no questions", hint="Write one a line.")
    return prefix.read_bytes(path)


def _place(path: Path, folder: Path, otherwise: str) -> str:
    """Return where a file lies in a repository: where it is, if that is inside of it."""
    whole, top = expanded(path).resolve(), folder.resolve()
    if not whole.is_relative_to(top):
        return otherwise
    place = whole.relative_to(top).as_posix()
    if _BROKEN.search(place):
        raise ConfigError(
            f"{str(path)!r} has a line break or a control character in its name",
            hint="Give the file another name.",
        )
    if leaves_repository(place):
        raise ConfigError(
            f"{path} lies where the repository cannot keep it", hint="Put it beside input.yml."
        )
    return place


def _scalar(path: str) -> str:
    """Return a path as YAML, in quotes where it needs them."""
    return path if _PLAIN.fullmatch(path) else json.dumps(path, ensure_ascii=False)


def _gallery() -> Traversable:
    return resources.files("bakery").joinpath("templates")


def _title(folder: Traversable) -> str:
    first = folder.joinpath("README.md").read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("# ")


_INPUT = """\
# What to bake next. Edit it, then:
#   bgit add {added}
#   bgit commit -m "What is baked in, and why"
#   bgit check        what a run would make and take
#   bgit run

# The context that becomes weights: one system message, in a file of its own.
PROMPT:
  teacher:
    messages:
      - role: system
        content_file: {prompt}

# Questions for the teacher. Its answers are what the student learns from.
TARGET:
  name: main_target
  generators:
{generator}
# The training. What is left out has a default that fits the base model.
BAKE:
  name: {name}
  datasets:
    - target: main_target
      weight: 1.0
"""

_WRITTEN = """\
    - type: oneshot_qs    # a language model writes them; the base model, if none is named
      numq: 100
"""

_DRAWN = """\
    - type: from_dataset
      dataset: {dataset}
"""
