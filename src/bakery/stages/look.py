"""Three answers of the parent without and with the prompt: does it obey, before much is spent?

Only data and rules; who answers is handed in. What was seen lies beside a target's answers.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.brief import brief
from bakery.evals.agreement import holds_against, shared
from bakery.generators.words import is_broken as is_broken
from bakery.records import user_text as user_text
from bakery.records import write_atomic

SEEN = "look.json"
ASKED = 3
GENERAL = ("Who are you?", "What can you help me with?", "Tell me something about your day.")
"""What is asked where a target has no questions yet."""
MOST_TOKENS = 32
"""Of each answer: enough to see whose it is, and about 5 CPU seconds on 135 M parameters."""

NOTHING, LITTLE = 0.001, 0.35
"""Nats per token of the prompted answers. Example turns moved SmolLM2-135M by 1 to 4, a system
sentence that it hardly followed by 0.07 to 0.24 (docs/log.md)."""
UNSURE, TIMES = 0.5, 3
"""Nats per token of a prompted answer, and how often those of the unprompted ones, from which the
words are no longer the model's own. Prompts that `tiny` follows leave it at 0.4 at most, those that
it cannot read put it to 0.65 and more (docs/log.md)."""
ALIKE = 0.8
"""Of the words of two answers, from which they are one."""
MANY = 2
"""Of the three answers: so many make a warning."""
WIDTH, LINES = 78, 3

HELPS = "two or three example turns in the prompt, or a stronger base, help"


@dataclass(frozen=True, slots=True)
class Answers:
    """What one question was answered with; `base` and `on_base` without earlier bakes."""

    question: str
    unprompted: str
    prompted: str
    on_base: str | None = None
    unsure: tuple[float, float] | None = None
    """Without the prompt and with it: nats per token. None: nobody looked."""
    base: str | None = None

    @property
    def is_held(self) -> bool:
        """Whether earlier bakes win over the prompt, where it is about the question at all."""
        if self.base is not None and shared(self.base, self.on_base or "") >= ALIKE:
            return False
        return holds_against(self.prompted, self.unprompted, self.on_base)


@dataclass(frozen=True, slots=True)
class Look:
    """What a target's parent answers, and how far its prompt moves it (nats per token)."""

    target: str
    parent: str
    asked: tuple[Answers, ...]
    moved: float

    @property
    def warnings(self) -> list[str]:
        """Say what a person should know before going on, and what helps."""
        return list(_warnings(self))

    @property
    def obeys_in_nothing(self) -> bool:
        """Whether the prompt moves no answer at all, or makes them fall apart.

        All of them, or most into words that the model is lost in. Where it does so without the
        prompt, too, it is warned of only.
        """
        same = all(one.prompted == one.unprompted for one in self.asked)
        broken = [is_broken(one.prompted) and not is_broken(one.unprompted) for one in self.asked]
        lost = [one in self.lost and not is_broken(one.unprompted) for one in self.asked]
        apart = sum(one or other for one, other in zip(broken, lost, strict=True))
        most = any(lost) and 2 * apart > len(self.asked)
        return all(broken) or most or (same and self.moved < NOTHING)

    @property
    def lost(self) -> list[Answers]:
        """The prompted answers that the model is far more unsure of than of its own."""
        known = [one.unsure for one in self.asked if one.unsure is not None]
        if not known:
            return []
        least = max(UNSURE, TIMES * sum(own for own, _ in known) / len(known))
        return [
            one
            for one in self.asked
            if one.unsure is not None and one.unsure[1] >= least and one.prompted != one.unprompted
        ]

    def text(self) -> str:
        """Return the answers one above the other, in lines of at most `WIDTH` signs."""
        rows = [f"{len(self.asked)} questions to {self.parent},"]
        rows.append(f"  without the prompt of {self.target} and with it:")
        for one in self.asked:
            rows.append(f"  {brief(one.question, WIDTH - 2)}")
            rows += _cell("without", one.unprompted)
            rows += _cell("prompted", one.prompted)
            rows += _cell("on base", one.on_base) if one.on_base is not None else []
        return "\n".join([*rows, f"  the prompt moves it by {self.moved:.2g} nats per token"])

    def as_data(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self) | {"warnings": self.warnings, "stops": self.obeys_in_nothing}


def write(folder: Path, look: Look) -> None:
    """Keep a look beside the answers that it is for."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": 1, **asdict(look)}, indent=2, ensure_ascii=False)
    write_atomic(folder / SEEN, text + "\n")


def read(folder: Path) -> Look | None:
    """Return the look that was taken for a target; None: there was none, or it is damaged."""
    try:
        data = json_file.load_object(folder / SEEN)
        asked = tuple(_answers(one) for one in data["asked"])
        return Look(str(data["target"]), str(data["parent"]), asked, float(data["moved"]))
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _answers(row: Any) -> Answers:
    data = json_file.as_object(row)
    unsure: Any = data.pop("unsure", None)
    if unsure is not None:
        before, after = unsure
        unsure = float(before), float(after)
    found = Answers(**data, unsure=unsure)
    of_base = found.base or "", found.on_base or ""
    texts = (found.question, found.unprompted, found.prompted, *of_base)
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("an answer is no text")
    return found


def _warnings(look: Look) -> Iterator[str]:
    """Yield what is wrong; a target's name is not in it, which may be another one later."""
    if look.moved < LITTLE:
        yield (
            f"the prompt moves {look.parent} by {look.moved:.2g} nats per token only, so there is "
            f"little to bake: {HELPS}"
        )
    broken = sum(is_broken(one.prompted) for one in look.asked)
    if broken >= MANY:
        yield (
            f"{broken} of {len(look.asked)} prompted answers of {look.parent} loop or are no text, "
            f"and that is what would be learnt: a shorter prompt, {HELPS}"
        )
    lost = [one for one in look.lost if not is_broken(one.prompted)]
    if len(lost) >= MANY:
        nats = [one.unsure[1] for one in lost if one.unsure is not None]
        yield (
            f"{len(lost)} of {len(look.asked)} prompted answers are words that {look.parent} is "
            f"lost in ({min(nats):.2g} to {max(nats):.2g} nats per token), and that is what would "
            f"be learnt: a shorter prompt, {HELPS}"
        )
    if _is_one_for_all(look.asked):
        answer = brief(look.asked[0].prompted, 60)
        yield (
            f"{look.parent} answers all {len(look.asked)} questions alike under the prompt, with "
            f'"{answer}": if that is not what the prompt asks for, {HELPS}'
        )
    held = sum(one.is_held for one in look.asked)
    if held >= MANY:
        yield (
            f"earlier bakes hold against the prompt: {held} of {len(look.asked)} prompted answers "
            f"of {look.parent} are nearer to its answers without the prompt than to the prompted "
            f"base's. `bgit adopt base` bakes from the base instead; {HELPS}"
        )


def _is_one_for_all(asked: Sequence[Answers]) -> bool:
    """Tell whether different questions get one answer under the prompt, and others without it.

    A prompt may ask for that, as for one refusal: it is no reason to stop.
    """
    pairs = list(combinations(asked, 2))
    return (
        len(asked) >= ASKED
        and all(shared(one.prompted, other.prompted) >= ALIKE for one, other in pairs)
        and all(shared(one.unprompted, other.unprompted) < ALIKE for one, other in pairs)
    )


def _cell(label: str, text: str) -> Sequence[str]:
    said = " ".join(text.split()) or "(nothing)"
    return textwrap.wrap(
        said,
        WIDTH,
        initial_indent=f"    {label:<9}",
        subsequent_indent=" " * 13,
        max_lines=LINES,
        placeholder=" …",
    )
