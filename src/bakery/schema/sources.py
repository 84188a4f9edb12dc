"""The files that input.yml names: prompts, question templates and data, read where it is from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bakery.errors import BakeryError
from bakery.records import Message
from bakery.schema.common import Path
from bakery.schema.data_sets import is_file, leaves_repository
from bakery.schema.generators import template_problem
from bakery.schema.problems import Problems
from bakery.schema.prompts import PromptSection
from bakery.schema.targets import Target
from bakery.yaml.text import not_text

MAX_TEXT_BYTES = 1 << 20

CONTENT_FILE = "content_file"

Read = Callable[[str], bytes]


@dataclass(slots=True)
class Sources:
    """Reads and checks what a file names; what is wrong is noted where the file names it."""

    read: Read | None
    problems: Problems
    templates: dict[str, str] = field(default_factory=dict)
    """The text of each template by its path."""
    contents: dict[str, str] = field(default_factory=dict)
    """What the files of messages say, by their paths."""
    data: dict[str, str] = field(default_factory=dict)
    """The SHA-256 of each data file by its path: it is read when questions are drawn."""

    def add(self, targets: Mapping[int, Target]) -> None:
        """Read what the generators of some targets name; they go by their place in the file."""
        for number, target in targets.items():
            for index, generator in enumerate(target.generators):
                at: Path = ("TARGET", number, "generators", index)
                path = getattr(generator, "template_path", None)
                if path is not None:
                    complete = generator.type != "custom"
                    self._template(path, (*at, "template_path"), complete=complete)
                path = getattr(generator, "dataset", None)
                if path is not None and is_file(path):
                    raw = self._bytes(path, "data file", (*at, "dataset"))
                    if raw is not None:
                        self.data[path] = hashlib.sha256(raw).hexdigest()

    def filled(self, prompts: Mapping[str, PromptSection]) -> dict[str, PromptSection]:
        """Return prompts with the content of the files that their messages name."""
        return {
            name: prompt.model_copy(
                update={
                    "messages": tuple(
                        self._filled(message, ("PROMPT", name, "messages", number, CONTENT_FILE))
                        for number, message in enumerate(prompt.messages)
                    )
                }
            )
            for name, prompt in prompts.items()
        }

    def _filled(self, message: Message, at: Path) -> Message:
        """Return a message as if the content of its file were written out, at the same place."""
        path = message.get(CONTENT_FILE)
        if path is None:
            return {key: value for key, value in message.items() if key != CONTENT_FILE}
        text = self._content(path, at)
        whole = {"content" if key == CONTENT_FILE else key: value for key, value in message.items()
                 if key != "content"}  # fmt: skip
        return {**whole, "content": text or ""}

    def _content(self, path: str, at: Path) -> str | None:
        text = self._text(path, CONTENT_FILE, at)
        if text is None:
            return None
        text = text.removeprefix("\ufeff").rstrip("\n")
        if (strange := not_text(text)) is not None:
            line = text.count("\n", 0, strange) + 1
            self.problems.add(
                f"content_file {path!r} has the character U+{ord(text[strange]):04X} in line "
                f"{line}, which is not text",
                *at,
            )
        self.contents[path] = text
        return text

    def _template(self, path: str, at: Path, *, complete: bool) -> None:
        text = self._text(path, "template", at)
        if text is None:
            return
        if problem := template_problem(text, complete=complete):
            self.problems.add(f"template {path!r} {problem}", *at)
        self.templates[path] = text

    def _text(self, path: str, what: str, at: Path) -> str | None:
        raw = self._bytes(path, what, at)
        if raw is None:
            return None
        if len(raw) > MAX_TEXT_BYTES:
            self.problems.add(f"{what} {path!r} is larger than 1 MiB", *at)
            return None
        try:
            return raw.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            self.problems.add(f"{what} {path!r} is not UTF-8 text", *at)
            return None

    def _bytes(self, path: str, what: str, at: Path) -> bytes | None:
        if leaves_repository(path):
            self.problems.add(
                f"{at[-1]} {path!r} leaves the repository: put the file beside input.yml, and "
                "write its path from there",
                *at,
            )
        elif self.read is None:
            self.problems.add(f"{what} {path!r}: files cannot be read here", *at)
        else:
            try:
                return self.read(path)
            except (OSError, ValueError, BakeryError) as error:
                hint = error.hint if isinstance(error, BakeryError) else None
                said = getattr(error, "strerror", None) or str(error)
                self.problems.add(f"{what} {path!r} cannot be read: {said}", *at, hint=hint)
        return None
