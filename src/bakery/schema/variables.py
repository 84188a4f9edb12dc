"""`{variable}` in the prompts of targets: which there are, and whether every row has a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bakery import variables
from bakery.errors import BakeryError
from bakery.schema.common import Path
from bakery.schema.data_sets import is_file
from bakery.schema.generators import Generator
from bakery.schema.problems import Problems
from bakery.schema.prompts import PromptSection
from bakery.schema.sources import Sources
from bakery.schema.targets import Target
from bakery.yaml.text import nearest

Rows = Callable[[bytes, str, str], Sequence[tuple[str, Any]]]
"""Gives the rows of a data file's split, each with the place where it stands."""

NAMED = 3
"""Rows without a value that are named."""


@dataclass(frozen=True, slots=True)
class _Row:
    """What may fill variables, and where: for people, and in input.yml."""

    where: str
    path: Path
    data: Mapping[str, Any]

    def text(self, name: str) -> str | None:
        """Return what it says of a variable; None: nothing. TypeError: it is no text."""
        return variables.as_text(self.data.get(name))

    def says(self, name: str) -> bool:
        """Tell whether it says anything, even what is no text."""
        try:
            return self.text(name) is not None
        except TypeError:
            return True

    def problem(self, used: Sequence[str]) -> str | None:
        """Return what keeps it from filling variables."""
        if missing := [name for name in used if not self.says(name)]:
            return f"{self.where} has no value for {_braced(missing)}"
        if strange := [name for name in used if isinstance(self.data[name], list | Mapping)]:
            return f"{self.where} has more than a text or a number for {_braced(strange)}"
        if torn := [name for name in used if not _is_whole(self.text(name) or "")]:
            return f"{self.where} has half a character (a lone surrogate) for {_braced(torn)}"
        return None


@dataclass(slots=True)
class Variables:
    """Finds the variables of targets; what is wrong with their rows is noted in `problems`."""

    prompts: Mapping[str, PromptSection]
    sources: Sources
    rows: Rows | None
    problems: Problems
    values: dict[str, variables.Values] = field(default_factory=dict)
    """What the first row says in the place of each, by the target's name."""
    remarks: list[tuple[Path, str]] = field(default_factory=list)

    def look(self, targets: Mapping[int, Target]) -> None:
        """Look at each target; they go by their place in the file."""
        for number, target in targets.items():
            at: Path = ("TARGET", number)
            names = variables.named(*target.prompts(self.prompts))
            self._refuse_unread(target, names, at)
            if names:
                self._look(target, names, at)

    def _look(self, target: Target, names: Mapping[str, bool], at: Path) -> None:
        found = [
            list(self._rows(generator, (*at, "generators", index)))
            for index, generator in enumerate(target.generators)
        ]
        held = {name for rows in found for row in rows for name in names if row.says(name)}
        used = [name for name in names if name in held]
        if left := [name for name, is_open in names.items() if is_open and name not in held]:
            told = f"the prompts of {target.name} say {_braced(left)}, which no row has a value for"
            self.remarks.append((at, f"{told}: it stays as it is written"))
        if not used:
            return
        for index, (generator, rows) in enumerate(zip(target.generators, found, strict=True)):
            if not rows:
                told = f"`{generator.type}` has no rows to fill {_braced(used)} of the prompt with"
                instead = "write its questions as rows of a file, or give it a target of its own"
                self.problems.add(f"{told}: {instead}", *at, "generators", index)
            problems = ((row, row.problem(used)) for row in rows)
            wrong = [(row, problem) for row, problem in problems if problem is not None]
            for row, problem in wrong[:NAMED]:
                self.problems.add(problem, *row.path)
        first = next((row for rows in found for row in rows if not row.problem(used)), None)
        if first is not None:
            self.values[target.name] = {name: first.text(name) or "" for name in used}

    def _rows(self, generator: Generator, at: Path) -> Iterator[_Row]:
        """Yield what may fill variables; nothing of a generator without rows."""
        if generator.type == "hardcoded":
            if not any(isinstance(one, Mapping) for one in generator.questions):
                return
            for number, one in enumerate(generator.questions):
                data = one if isinstance(one, Mapping) else {"question": one}
                yield _Row(f"question {number + 1}", (*at, "questions", number), data)
        elif generator.type == "from_dataset" and is_file(generator.dataset):
            path: Path = (*at, "dataset")
            for where, data in self._of_file(generator.dataset, generator.split or "train", path):
                row = data if isinstance(data, Mapping) else {"": data}
                if any(value not in (None, "") for value in row.values()):
                    yield _Row(where, path, row)

    def _of_file(self, name: str, split: str, at: Path) -> Sequence[tuple[str, Any]]:
        if self.rows is None or self.sources.read is None or name not in self.sources.data:
            return ()
        try:
            return self.rows(self.sources.read(name), name, split)
        except BakeryError as error:
            self.problems.add(error.message, *at, hint=error.hint)
            return ()

    def _refuse_unread(self, target: Target, names: Mapping[str, bool], at: Path) -> None:
        """Note values of written rows that no prompt reads."""
        for index, generator in enumerate(target.generators):
            for number, one in enumerate(getattr(generator, "questions", ())):
                for key in one if isinstance(one, Mapping) else ():
                    if key == "question" or key in names:
                        continue
                    guess = nearest(str(key), list(names))
                    meant = f": did you mean `{guess}`?" if guess else ""
                    self.problems.add(
                        f"no prompt of the target has `{{{key}}}`{meant}",
                        *at, "generators", index, "questions", number, key, key=True,
                    )  # fmt: skip


def _braced(names: Sequence[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


def _is_whole(text: str) -> bool:
    """Tell whether a text has no half of a character, which no file and no model takes."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
