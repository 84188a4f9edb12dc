"""Is what the parent could do kept? Instructions that a program checks, before and after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bakery.evals.figures import Axis, Figure, unmeasured
from bakery.evals.ifeval.score import Instruction, Scored, scored
from bakery.evals.intervals import mean, share
from bakery.evals.lab import Lab
from bakery.evals.sides import Side
from bakery.records import Message

OF = "instructions"
MEASURED: tuple[Side, ...] = ("parent", "prompted", "baked")


def capability(lab: Lab, instructions: Sequence[Instruction], name: str) -> Axis:
    """Answer instructions greedily as the parent, behind the prompt, and baked; check them all.

    What the prompt itself costs is no fault of the bake.
    """
    if not instructions:
        return unmeasured("capability", "give instructions with --ifeval FILE, or a hub id")
    chosen = instructions[: lab.suite.instructions]
    unknown = Counter(kind for one in chosen for kind in one.unknown)
    known = [one for one in chosen if not one.unknown]
    length = min(lab.suite.instruction_tokens, lab.sides.local.base.context // 2)
    both = (lab.sides.teacher, lab.sides.student)
    fitting = [one for one in known if lab.fits(both, _asked(one.prompt), length)]
    if not fitting:
        return unmeasured("capability", f"no instruction of {name} can be checked and fits")
    asked = [_asked(one.prompt) for one in fitting]
    said = {side: lab.say(side, asked, tokens=length) for side in MEASURED}
    found = {
        side: [scored(one, answer.text) for one, answer in zip(fitting, said[side], strict=True)]
        for side in MEASURED
    }
    figures = [figure for side in MEASURED for figure in _of(side, found[side])]
    sides: dict[str, Side] = {"points_lost_prompted": "prompted", "points_lost": "baked"}
    for figure, side in sides.items():
        figures.append(mean(figure, _lost(found["parent"], found[side]), "points", "prompts"))
    rows = tuple(
        {
            "prompt": one.prompt,
            "kinds": list(one.kinds),
            **{side: list(found[side][at].strict) for side in MEASURED},
            **{f"{side}_said": said[side][at].text for side in MEASURED},
        }
        for at, one in enumerate(fitting)
    )
    return Axis("capability", _on(name, fitting, known, unknown, length), tuple(figures), rows)


def _on(
    name: str, fitting: Sequence[Instruction], known: Sequence[Instruction],
    unknown: Counter[str], length: int,
) -> str:  # fmt: skip
    on = f"{len(fitting)} prompts of {name}, answers of up to {length} tokens"
    if len(known) > len(fitting):
        on += f"; {len(known) - len(fitting)} are too long for the context"
    if unknown:
        on += f"; {unknown.total()} instructions of unknown kinds left out: " + ", ".join(unknown)
    return on


def _of(side: Side, found: Sequence[Scored]) -> list[Figure]:
    every = [one for row in found for one in row.strict]
    return [
        share(f"{side}_prompts", sum(all(row.strict) for row in found), len(found), "prompts"),
        share(f"{side}_prompts_loose", sum(all(row.loose) for row in found), len(found), "prompts"),
        share(f"{side}_instructions", sum(every), len(every), OF),
    ]


def _lost(before: Sequence[Scored], after: Sequence[Scored]) -> list[float]:
    """Return for each prompt 100 where it was obeyed and no longer is, −100 for the opposite."""
    pairs = zip(before, after, strict=True)
    return [100.0 * (all(one.strict) - all(other.strict)) for one, other in pairs]


def _asked(text: str) -> tuple[Message, ...]:
    return ({"role": "user", "content": text},)
