"""Answers to instructions, scored: strictly, and loosely as the paper does.

Loose takes the answer without its first or last line and without asterisks, too: a greeting in
front of what was asked for is forgiven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bakery.errors import ConfigError
from bakery.evals.ifeval.checks import CHECKS
from bakery.evals.ifeval.needs import problem
from bakery.evals.language import KNOWN

FORM = "A row has `prompt`, `instruction_id_list` and a list of `kwargs` as long."
"""What a file of IFEval's form holds."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """A question with instructions that can be checked: each a kind, and what it names."""

    prompt: str
    kinds: tuple[str, ...]
    told: tuple[Mapping[str, Any], ...]

    @property
    def unknown(self) -> tuple[str, ...]:
        """The kinds that nobody here can check."""
        return tuple(
            kind
            for kind, told in zip(self.kinds, self.told, strict=True)
            if kind not in CHECKS or str(told.get("language", "en")) not in KNOWN
        )


@dataclass(frozen=True, slots=True)
class Scored:
    """Which instructions of one question an answer obeys."""

    strict: tuple[bool, ...]
    loose: tuple[bool, ...]


def read(rows: Sequence[tuple[int, Any]], name: str) -> list[Instruction]:
    """Return the instructions of a file of IFEval's form; ConfigError names a row that is none."""
    found = []
    for number, row in rows:
        data: Mapping[str, Any] = row if isinstance(row, Mapping) else {}
        kinds: Any = data.get("instruction_id_list")
        told: Any = data.get("kwargs")
        both = isinstance(kinds, list) and isinstance(told, list)
        is_asked = isinstance(data.get("prompt"), str) and bool(kinds)  # none is always obeyed
        if not both or len(kinds) != len(told) or not is_asked:
            raise ConfigError(
                f"{name}: row {number} is no instruction of IFEval's form",
                hint=FORM,
            )
        if wrong := [one for one in told if not isinstance(one, Mapping | None)]:
            raise ConfigError(
                f"{name}: row {number}: `kwargs` has {repr(wrong[0])[:60]} in it",
                hint="It is a list of objects, one for each instruction, empty where it names "
                "nothing.",
            )
        said = tuple({k: v for k, v in (one or {}).items() if v is not None} for one in told)
        row_kinds = tuple(map(str, kinds))
        for kind, one in zip(row_kinds, said, strict=True):
            if missing := problem(kind, one):
                raise ConfigError(
                    f"{name}: row {number}: {missing}",
                    hint="`kwargs` are those of IFEval (docs/eval.md): mend the row, or leave it "
                    "out.",
                )
        found.append(Instruction(data["prompt"], row_kinds, said))
    return found


def scored(instruction: Instruction, answer: str) -> Scored:
    """Check an answer. An empty one obeys nothing."""
    return Scored(
        tuple(_obeys(answer, *one) for one in _each(instruction)),
        tuple(any(_obeys(a, *one) for a in _loosened(answer)) for one in _each(instruction)),
    )


def _each(instruction: Instruction) -> list[tuple[str, Mapping[str, Any]]]:
    return list(zip(instruction.kinds, instruction.told, strict=True))


def _obeys(answer: str, kind: str, told: Mapping[str, Any]) -> bool:
    return bool(answer.strip()) and CHECKS[kind](answer, told)


def _loosened(answer: str) -> list[str]:
    lines = answer.split("\n")
    cut = [answer, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return [text for one in cut for text in (one, one.replace("*", ""))]
