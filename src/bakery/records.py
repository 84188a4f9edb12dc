"""The rows that travel between stages, and how they lie on disk as JSON lines.

Plain data: nothing here knows tensors, git or YAML.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from bakery import json_file
from bakery.errors import ConfigError, StageError
from bakery.masking import masked

Message: TypeAlias = dict[str, Any]
"""One chat message as the chat template reads it: `role`, `content`, and what a role adds."""

Row = TypeVar("Row")

FAKE = "backend:fake"
"""In the place of a model's name: none, `backends.fake` makes it up. No input.yml can say so."""
BACKENDS = {"fake": FAKE}
"""What can write and answer in place of every model, by what `bgit run --backend` calls it."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prefix of a chat: messages (maybe none) and the tools the template shows."""

    messages: tuple[Message, ...] = ()
    tools: tuple[dict[str, Any], ...] = ()

    @property
    def text(self) -> str:
        """All that it says, a message a line."""
        return "\n".join(str(one.get("content") or "") for one in self.messages)

    def as_data(self) -> dict[str, Any]:
        """Return what is hashed and stored; tools only where there are any."""
        data: dict[str, Any] = {"messages": list(self.messages)}
        return data | {"tools": list(self.tools)} if self.tools else data

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Prompt:
        """Read what `as_data` wrote."""
        return cls(tuple(data["messages"]), tuple(data.get("tools", ())))


@dataclass(frozen=True, slots=True)
class Stimulus:
    """One question put to the teacher.

    `generator` is its `type:` and `source` its place in the list of generators; `writer` is who
    really wrote it, in which `round` of asking. `rollout_with` is `student` where the answer is
    sampled behind the student prompt; `hold_out` where it is to be measured on, not learnt (False:
    learnt in any case).
    `values` is what its row says in the place of the variables of its target's prompts.
    """

    id: str
    messages: tuple[Message, ...]
    generator: str
    writer: str
    source: int = 0
    round: int = 0
    rollout_with: str | None = None
    hold_out: bool | None = None
    values: dict[str, str] | None = None

    @property
    def is_written_out(self) -> bool:
        """Whether it is to be learnt in any case: it stands in input.yml, or in the prompt.

        Or nothing else is asked behind the prompt as its row fills it.
        """
        return self.generator in WRITTEN_OUT or self.hold_out is False


WRITTEN_OUT = frozenset({"hardcoded", "facts"})
"""The types of generators whose questions are what the prompt is for: learnt in any case."""

ASK_A_MODEL = frozenset({"oneshot_qs", "custom"})
"""The types of generators whose questions a language model writes."""


def asked_text(question: str | Mapping[str, Any]) -> str:
    """Return what is asked by an entry of `questions`: a text, or a row that has it."""
    return question if isinstance(question, str) else str(question["question"])


def questions_of(generator: Mapping[str, Any]) -> int | None:
    """Return how many questions a generator is asked for; None: all that there are."""
    count = generator.get("numq") or len(generator.get("questions", ()))
    return int(count) or None


STOP_TEXT = "stop_text"
"""How an answer ended before a text of `stop`: not by the model's own end of turn."""


@dataclass(frozen=True, slots=True)
class Trajectory:
    """One sampled answer with its token ids: what both doors learn from.

    In the file of a target it lies as it is here; in that of an output_dir by round and row, of
    which its `stimulus_id` is made there (`engine.training.rounds.Drawn`).
    `finish` is `stop` when the model ended its turn (the end-of-turn id is then the last of
    `response_ids`), `length` when `max_tokens` cut it, `stop_text` when a text of `stop` came
    next, and else what the endpoint said. Without ids it is `empty`, `refusal` (of the model) or
    `refused` (by its endpoint, with the reason as `text`).
    """

    stimulus_id: str
    sample: int
    response_ids: tuple[int, ...]
    text: str
    finish: str
    model: str = ""
    """Who answered; empty in memory where a file does not say it."""
    asked: str | None = None
    """Digest of the prompt's ids, where it is known. None: the stimulus names what was asked."""


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A baked model: `owner/repo/<bake>_<16 hex>/<step>`."""

    owner: str
    repo: str
    bake: str
    step: int

    def __str__(self) -> str:
        return f"{self.owner}/{self.repo}/{self.bake}/{self.step}"

    @property
    def bake_id(self) -> str:
        """The 16 hex digits: what the store is keyed by."""
        return hex_of(self.bake)

    @property
    def given_name(self) -> str:
        """The name that input.yml gave the bake."""
        return given_name(self.bake)

    @classmethod
    def parse(cls, text: str) -> ModelRef:
        """Read a full model name, or say that it is not one."""
        match = _REF_SHAPE.fullmatch(text.strip())
        if not match:
            raise ConfigError(
                f"{text!r} is not a model name",
                hint="A baked model is named owner/repo/<bake>_<16 hex>/<step>.",
            )
        owner, repo, bake, step = match.groups()
        return cls(owner, repo, bake, int(step))


def given_name(name: str) -> str:
    """Return what input.yml called a bake or target, whose full name is `<that>_<16 hex>`."""
    return name[:-17]


def hex_of(name: str) -> str:
    """Return the 16 hex digits of a full name."""
    return name[-16:]


_REF_SHAPE = re.compile(r"([^/\s]+)/([^/\s]+)/([^/\s]*_[0-9a-f]{16})/([0-9]{1,12})")


def user_text(messages: Sequence[Message]) -> str:
    """Return the text of the last user message: what people call the question."""
    return next((str(m["content"]) for m in reversed(messages) if m["role"] == "user"), "")


def append_rows(path: Path, rows: Iterable[Any]) -> None:
    """Append dataclass rows to a JSON-lines file in one write, and flush it to disk."""
    lines = (json.dumps(_filled(row), ensure_ascii=False) + "\n" for row in rows)
    text = masked("".join(lines), data=True)
    if not text:
        return
    _drop_torn_line(path)
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path, row_type: type[Row], *, strict: bool = True) -> list[Row]:
    """Return the rows of a JSON-lines file; a torn last line does not count.

    `strict`: no number may be NaN.
    """
    return [_to_row(data, row_type, path, number) for number, data in _lines(path, strict)]


def write_atomic(path: Path, text: str) -> None:
    """Replace a whole file, so that a reader sees the old text or the new, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(masked(text, data=True))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:  # a full disk, or Ctrl-C: the old text stays, and nothing beside it
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Make renames inside a folder survive a power cut (a no-op where folders cannot be opened)."""
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _filled(row: Any) -> dict[str, Any]:
    """Return a row's data without what may be absent, and is."""
    absent = {f.name for f in fields(row) if f.default is None and getattr(row, f.name) is None}
    return {key: value for key, value in asdict(row).items() if key not in absent}


def _lines(path: Path, strict: bool) -> Iterator[tuple[int, Any]]:
    if not path.exists():
        return
    number = 0
    try:
        for number, line in json_file.lines(path):
            yield number, json_file.parse(line, strict=strict)
    except json_file.DamagedError as error:
        raise StageError(
            f"{path}:{number or 1} is damaged: {error}",
            hint="Delete that line (its result is made again) and run the same command.",
        ) from error


def _to_row(data: Any, row_type: type[Row], path: Path, number: int) -> Row:
    if not isinstance(data, dict):
        raise _not_ours(f"{path}:{number} is not a row: a row is a JSON object")
    known = fields(row_type)  # type: ignore[arg-type]  # a dataclass
    needed = [f.name for f in known if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in needed if name not in data]:
        lacks = ", ".join(f"`{name}`" for name in missing)
        raise _not_ours(f"{path}:{number} is not a row of this kind of file: it has no {lacks}")
    for field in known:
        is_whole = _WHOLE.get(str(field.type))
        if is_whole and field.name in data and not is_whole(data[field.name]):
            said = json_file.kind(data[field.name])
            said = "a list of other things than it has to hold" if said == "a list" else said
            raise _not_ours(f"{path}:{number} is damaged: `{field.name}` is {said}")
    return row_type(**{f.name: _frozen(data[f.name]) for f in known if f.name in data})


def _is_token_ids(value: Any) -> bool:
    return isinstance(value, list) and set(map(type, value)) <= {int} and min(value, default=0) >= 0


def _are_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _are_messages(value: Any) -> bool:
    return isinstance(value, list) and all(_is_message(one) for one in value)


def _is_message(value: Any) -> bool:
    """Tell whether somebody speaks in it; what a user says is always there."""
    role = value.get("role") if isinstance(value, dict) else None
    return isinstance(role, str) and (role != "user" or "content" in value)


_WHOLE: Mapping[str, Callable[[Any], bool]] = {
    "str": lambda value: isinstance(value, str),
    "str | None": lambda value: value is None or isinstance(value, str),
    "int": lambda value: isinstance(value, int),
    "int | None": lambda value: value is None or isinstance(value, int),
    "bool | None": lambda value: value is None or isinstance(value, bool),
    "dict[str, str] | None": lambda value: value is None or _are_texts(value),
    "tuple[int, ...]": _is_token_ids,
    "tuple[Message, ...]": _are_messages,
}
"""What rows hold, by how a field is annotated."""


def _not_ours(message: str) -> StageError:
    return StageError(message, hint="Is that the file you meant? Another program wrote it.")


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _drop_torn_line(path: Path) -> None:
    """Cut what a killed writer left behind the last newline."""
    if not path.exists() or not path.stat().st_size:
        return
    with path.open("rb+") as file:
        file.seek(-1, os.SEEK_END)
        if file.read(1) != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
