""".bread: who the model is, and which model the next bake starts from.

Changed by editing one line of text, never by writing the file anew: blank and comment
lines between the keys keep merges and reverts of unrelated changes apart.
"""

from __future__ import annotations

import configparser
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from bakery.defaults import LATEST, check_version
from bakery.errors import ConfigError, RepoError
from bakery.identity import BaseModelId
from bakery.records import ModelRef
from bakery.repo.files import hosted
from bakery.repo.files.names import BREAD

SCHEMA = 1

_LAST = "\n[STATE]\nPARENT_MODEL ="
"""What a .bread of ours ends with, but for the model's name."""

_PARENT_LINE = re.compile(r"^PARENT_MODEL[ \t]*=.*$", re.MULTILINE)

_WEIGHTS_LINE = re.compile(r"^weights[ \t]*=.*\n\n?", re.MULTILINE)
_SCHEMA_LINE = re.compile(r"^schema[ \t]*=", re.MULTILINE)

_BASE_LINE = re.compile(r"^base_model[ \t]*=.*\n", re.MULTILINE)
_OF_BASE = re.compile(r"^(revision|digest|family|hidden_size|beside)[ \t]*=.*\n", re.MULTILINE)
"""What stands beside it."""

_CONFLICT = re.compile(r"^(<{7}|={7}|>{7}|\|{7})( |$)", re.MULTILINE)

_WORD = re.compile(r"[^/\s\x00-\x1f\x7f-\x9f]+")
"""What a model's name has between two slashes."""

_MARKS = ("<<<<<<<", ">>>>>>>")


@dataclass(frozen=True, slots=True)
class State:
    """What .bread says. `parent` is None before the first bake: the base model itself.

    Where `is_former`, another tool wrote it: `former_parent` is the model that its next bake would
    have started from, `base` only a name, and the next bake waits for `bgit adopt`.
    """

    owner: str
    name: str
    base: BaseModelId
    parent: ModelRef | None = None
    is_former: bool = False
    former_parent: str | None = None
    defaults: int = LATEST
    """The version of the defaults that bakes are planned by; a file that names none has 1."""
    weights: str = ""
    """The remote of weights that it proposes, unchecked: no clone opens it unasked. "": none."""


def new(state: State) -> str:
    """Return the text of a new .bread."""
    return f"""\
# The state of this model repository. bgit writes this file.

[REPO]
name = {state.name}

owner = {state.owner}

{_base_lines(state.base)}
defaults = {state.defaults}

schema = {SCHEMA}

# The model that the next bake starts from; empty: the base model.

[STATE]
PARENT_MODEL = {state.parent or ""}
""".replace(" \n", "\n")


def parse(text: str, source: str = ".bread") -> State:
    """Read .bread; RepoError says what to do where it does not parse."""
    refuse_conflict(text, source)
    before, parent = _apart(text)
    now = _sound(before) or _parsed(before, source)
    try:
        return replace(now, parent=ModelRef.parse(parent)) if parent else now
    except ConfigError as error:
        raise damaged(source, f"PARENT_MODEL: {error.message}") from error


def _apart(text: str) -> tuple[str, str]:
    """Return a .bread without its parent, and the parent, where it ends as ours do.

    Many branches differ in nothing else, so that it is read once for all of them.
    """
    before, mark, after = text.partition(_LAST)
    parent = after.strip()
    if not mark or "\n" in parent or len(parent.split()) > 1:
        return text, ""
    return before + mark + "\n", parent


@lru_cache(maxsize=64)
def _sound(text: str) -> State | None:
    """Return what a .bread says; None: something is wrong with it."""
    try:
        return _parsed(text, BREAD)
    except RepoError:
        return None


def _parsed(text: str, source: str) -> State:
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#",), interpolation=None, empty_lines_in_values=False
    )
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # keeps the case of keys
    if hosted.is_bread(text):
        return _former(text)
    try:
        parser.read_string(text)
        repo, parent = parser["REPO"], parser["STATE"].get("PARENT_MODEL", "")
        refuse_newer(repo.get("schema", str(SCHEMA)), source)
        for key in ("owner", "name"):
            if not _WORD.fullmatch(repo[key]):
                raise damaged(source, f"{key} = {repo[key]} cannot be part of a model's name")
        base = BaseModelId(
            repo["base_model"],
            repo.get("revision", ""),
            repo.get("digest", ""),
            repo.get("family", ""),
            _number(repo, "hidden_size", 0, source),
            repo.get("beside", ""),
        )
        defaults = _number(repo, "defaults", 1, source)
        model = ModelRef.parse(parent) if parent else None
    except KeyError as error:
        raise damaged(source, f"{error.args[0]} is missing") from error
    except configparser.Error as error:
        raise damaged(source, " ".join(str(error).split())) from error
    except ConfigError as error:
        raise damaged(source, f"PARENT_MODEL: {error.message}") from error
    try:
        check_version(defaults)
    except ConfigError as error:
        raise RepoError(f"{source}: {error.message}", hint=error.hint) from error
    proposed = repo.get("weights", "")
    return State(repo["owner"], repo["name"], base, model, defaults=defaults, weights=proposed)


_DIGITS = re.compile(r"[0-9]{1,9}")
"""A whole number; `isdigit` takes a superscript for one, too."""


def _number(section: configparser.SectionProxy, key: str, unsaid: int, source: str) -> int:
    text = section.get(key, "") or str(unsaid)
    if not _DIGITS.fullmatch(text):
        raise damaged(source, f"{key} = {text[:60]} is not a number")
    return int(text)


def _former(text: str) -> State:
    name, base, parent = hosted.head(text)
    owner = parent.split("/")[0] if parent and "/" in parent else "local"
    return State(owner, name, BaseModelId(base, "", ""), None, True, parent)


def with_parent(text: str, parent: ModelRef | None) -> str:
    """Return the text with its one PARENT_MODEL line changed."""
    line = f"PARENT_MODEL = {parent}" if parent else "PARENT_MODEL ="
    edited, count = _PARENT_LINE.subn(lambda _: line, text)
    if count != 1:
        raise damaged(BREAD, f"it has {count} lines `PARENT_MODEL = …` instead of one")
    return edited


def with_weights(text: str, url: str) -> str:
    """Return the text with the remote of weights that it proposes; "": with none."""
    line = f"weights = {url}\n\n" if url else ""
    before = _WEIGHTS_LINE.sub("", text)
    edited, count = _SCHEMA_LINE.subn(lambda found: line + found[0], before)
    if count != 1:
        raise damaged(BREAD, f"it has {count} lines `schema = …` instead of one")
    return edited


def with_base(text: str, base: BaseModelId) -> str:
    """Return the text with the lines changed that say what the base model is."""
    others = _OF_BASE.sub("", text)
    edited, count = _BASE_LINE.subn(lambda _: _base_lines(base), others)
    if count != 1:
        raise damaged(BREAD, f"it has {count} lines `base_model = …` instead of one")
    return edited


def _base_lines(base: BaseModelId) -> str:
    beside = f"beside = {base.beside}\n" if base.beside else ""
    return f"""\
base_model = {base.name}
revision = {base.revision}
digest = {base.digest}
family = {base.family}
hidden_size = {base.hidden_size}
{beside}""".replace(" \n", "\n")


def refuse_conflict(text: str, source: str) -> None:
    """Raise RepoError where a merge left its markers in a file."""
    line = conflict_line(text)
    if line is not None:
        raise RepoError(
            f"{source}:{line}: a merge conflict is not resolved",
            hint="`git checkout --merge -- .bread recipe.yml` merges them anew, with bgit's own "
            "merge driver; then `git add .bread recipe.yml` and commit. Or keep one side: "
            "`git checkout --ours -- .bread recipe.yml` (or --theirs).",
        )


def conflict_line(text: str) -> int | None:
    """Return the line at which a merge left its first mark in a file; None: there is none."""
    # Looked for as plain text first: a recipe may have megabytes.
    match = _CONFLICT.search(text) if any(mark in text for mark in _MARKS) else None
    return text.count("\n", 0, match.start()) + 1 if match else None


def refuse_newer(schema: object, source: str) -> None:
    """Raise RepoError where a file is of a later format than this program knows."""
    number = str(schema)
    if not _DIGITS.fullmatch(number):
        raise damaged(source, f"schema is {number[:60]!r}, which is not a number")
    if int(number) > SCHEMA:
        raise RepoError(
            f"{source} has schema {number}; this bgit reads up to {SCHEMA}",
            hint="It was written by a newer bgit: `pip install -U prompt-bakery`.",
        )


def damaged(source: str, what: str) -> RepoError:
    """Return the error for a file of ours that was changed by other means."""
    path = source.rsplit(":", 1)[-1]
    return RepoError(
        f"{source} cannot be read: {what}",
        hint=f"bgit writes this file. `git restore --staged --worktree -- {path}` "
        f"brings back the committed one; `git log -p -- {path}` shows earlier "
        "ones.",
    )
