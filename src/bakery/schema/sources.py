"""The files that input.yml names: question templates and data, read where input.yml is from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from bakery.errors import BakeryError
from bakery.schema.common import Path
from bakery.schema.data_sets import is_file, leaves_repository
from bakery.schema.generators import template_problem
from bakery.schema.problems import Problems
from bakery.schema.targets import Target

MAX_TEMPLATE_BYTES = 1 << 20

Read = Callable[[str], bytes]


@dataclass(slots=True)
class Sources:
    """Reads and checks what a file names; what is wrong is noted where the file names it."""

    read: Read | None
    problems: Problems
    templates: dict[str, str] = field(default_factory=dict)
    """The text of each template by its path."""
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

    def _template(self, path: str, at: Path, *, complete: bool) -> None:
        raw = self._bytes(path, "template", at)
        if raw is None:
            return
        if len(raw) > MAX_TEMPLATE_BYTES:
            self.problems.add(f"template {path!r} is larger than 1 MiB", *at)
            return
        try:
            text = raw.decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError:
            self.problems.add(f"template {path!r} is not UTF-8 text", *at)
            return
        if problem := template_problem(text, complete=complete):
            self.problems.add(f"template {path!r} {problem}", *at)
        self.templates[path] = text

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
                self.problems.add(
                    f"{what} {path!r} cannot be read: {error}; write it, then `bgit add {path}`",
                    *at,
                )
        return None
