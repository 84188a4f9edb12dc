"""Two recipes side by side: what was said differently, and what came of it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bakery.card import Card
from bakery.errors import RepoError
from bakery.plain import plain
from bakery.records import ModelRef, given_name
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import show, wording
from bakery.repo.look.wording import AROUND, Hunk
from bakery.repo.model_repo import ModelRepo

if TYPE_CHECKING:
    from bakery.repo.plan.planned import Plan, PlannedTarget

CARD = ("kl_before", "kl_after", "gap_closed", "top1_agreement", "prompt_tokens_saved",
        "held_out", "tokens")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """One value on both sides; None: that side does not have it."""

    key: str
    old: Any
    new: Any


@dataclass(frozen=True, slots=True)
class PromptChange:
    """How one prompt of a target changed: as lines of a unified diff, and word by word."""

    target: str
    kind: str
    lines: tuple[str, ...]
    words: tuple[Hunk, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How the recipe of `new` differs from that of `old`, and what both gave."""

    old: str
    new: str
    added: tuple[str, ...]
    """Targets of `new` that `old` has none of that name for."""
    removed: tuple[str, ...]
    prompts: tuple[PromptChange, ...]
    settings: tuple[Change, ...]
    results: tuple[Change, ...]
    """Losses and card, whether they differ or not."""

    @property
    def is_same(self) -> bool:
        """Whether both recipes say the same."""
        return not (self.added or self.removed or self.prompts or self.settings)

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit diff --json` prints."""
        return {"schema": 1, **plain(self)}


@dataclass(frozen=True, slots=True)
class Side:
    """One of two models. `bake` None: the base."""

    model: ModelRef | None
    bake: RecordedBake | None


def diff(repo: ModelRepo, words: Sequence[str], *, surely: bool = True) -> Comparison | None:
    """Compare two models by name, or one with the model that it was baked on.

    None where the words are git's; never where they are `surely` models.
    """
    found = sides(repo, words, surely=surely)
    if found is None:
        return None
    if (compared := of_sides(repo, *found)) is None:
        raise RepoError(
            f"{repo.state().base.name} is the base model: it has no recipe to compare with",
            hint="`bgit show MODEL` shows the recipe of one model; `bgit diff --weights` and "
            "`--behaviour` compare with the base, too.",
        )
    return compared


def sides(
    repo: ModelRepo, words: Sequence[str], *, surely: bool = True
) -> tuple[Side, Side] | None:
    """Return the two models that words name, the older first; None where the words are git's."""
    bakes = show.named(repo, words, most=2, surely=surely)
    if bakes is None:
        return None
    found = [Side(bake.model if bake else None, bake) for bake in bakes]
    if len(found) == 1:
        parent = bakes[0].parent if bakes[0] else None
        found.insert(0, Side(parent, repo.find_model(str(parent)) if parent else None))
    return found[0], found[1]


def of_sides(repo: ModelRepo, old: Side, new: Side) -> Comparison | None:
    """Return how two recipes differ; None where one is the base, which has none."""
    if old.bake is None or new.bake is None:
        return None
    plans = [show.plan_or_none(repo, side.bake) for side in (old, new) if side.bake]
    return compare(old.bake, new.bake, old_plan=plans[0], new_plan=plans[1])


def compare(
    old: RecordedBake,
    new: RecordedBake,
    *,
    old_plan: Plan | None = None,
    new_plan: Plan | None = None,
) -> Comparison:
    """Compare two bakes; the plans (None: not known) tell of generators and sampling."""
    ours, theirs = _targets(old), _targets(new)
    both = [name for name in theirs if name in ours]
    settings = list(_changes(_base(old), _base(new)))
    settings += _changes(flat(old.data.get("training", {})), flat(new.data.get("training", {})))
    for name in both:
        sides = (ours[name], old_plan), (theirs[name], new_plan)
        # Told of one side only, as of an earlier target, they would look like a change.
        is_told = all(_planned(*side) is not None for side in sides)
        before, after = (target_settings(said, plan if is_told else None) for said, plan in sides)
        settings += [
            Change(f"{name}: {change.key}", change.old, change.new)
            for change in _changes(before, after)
        ]
    return Comparison(
        str(old.model),
        str(new.model),
        added=tuple(theirs[name]["name"] for name in theirs if name not in ours),
        removed=tuple(ours[name]["name"] for name in ours if name not in theirs),
        prompts=tuple(
            change
            for name, before, after in _prompted(ours, theirs)
            for kind in ("teacher", "student")
            if (change := _prompt_change(name, kind, before, after)) is not None
        ),
        settings=tuple(settings),
        results=tuple(_results(old.data, new.data)),
    )


def target_settings(target: Mapping[str, Any], plan: Plan | None) -> dict[str, Any]:
    """Return how a target was made, as flat pairs; generators and sampling only with its plan."""
    found: dict[str, Any] = {
        "weight": target.get("weight"),
        "questions": target.get("stimuli"),
        "answers": target.get("trajectories"),
        "written by": ", ".join(f"{name} {n}" for name, n in target.get("writers", {}).items()),
    }
    planned = _planned(target, plan)
    if planned is not None:
        found |= flat(planned.rollout.sampling.as_data())
        for number, generator in enumerate(planned.stim.generators, start=1):
            found[f"generator {number}"] = json.dumps(generator, ensure_ascii=False)
    return found


def _planned(target: Mapping[str, Any], plan: Plan | None) -> PlannedTarget | None:
    """Return a target of a recipe as its configuration planned it; None: it says nothing."""
    targets = plan.targets if plan else ()
    return next((found for found in targets if found.rollout.id == target["id"]), None)


def prompt_text(prompt: Mapping[str, Any]) -> str:
    """Return a prompt as people read it: who says what, then the tools; "" for an empty one."""
    parts = []
    for message in prompt.get("messages", ()):
        content = message.get("content")
        said = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
        rest = {k: v for k, v in message.items() if k not in ("role", "content")}
        more = f"\n{json.dumps(rest, indent=2, ensure_ascii=False)}" if rest else ""
        parts.append(f"{message['role']}: {said}{more}")
    parts += [
        f"tool: {json.dumps(t, indent=2, ensure_ascii=False)}" for t in prompt.get("tools", ())
    ]
    return "\n".join(parts)


def flat(data: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings as one level, with dotted names."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{before}{key}"
        found |= flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return found


def _base(bake: RecordedBake) -> dict[str, Any]:
    base = bake.data.get("base") or {}
    model = bake.parent or base.get("name")
    return {
        "baked on": str(model),
        "base": str(base.get("name")),
        "base digest": base.get("digest"),
    }


def _targets(bake: RecordedBake) -> dict[str, Mapping[str, Any]]:
    """Return a bake's targets by what input.yml called them, where that names one alone."""
    targets = list(bake.data["targets"])
    names = [given_name(target["name"]) for target in targets]
    return {
        name if names.count(name) == 1 else target["name"]: target
        for name, target in zip(names, targets, strict=True)
    }


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[Change]:
    for key in dict.fromkeys((*old, *new)):
        if old.get(key) != new.get(key):
            yield Change(key, old.get(key), new.get(key))


def _prompted(
    ours: Mapping[str, Mapping[str, Any]], theirs: Mapping[str, Mapping[str, Any]]
) -> Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield targets whose prompts are held against each other: of one name, or the only others."""
    for name in theirs:
        if name in ours:
            yield name, ours[name], theirs[name]
    gone, come = ([n for n in a if n not in b] for a, b in ((ours, theirs), (theirs, ours)))
    if len(gone) == len(come) == 1:
        yield f"{gone[0]} -> {come[0]}", ours[gone[0]], theirs[come[0]]


def _prompt_change(
    name: str, kind: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> PromptChange | None:
    before, after = prompt_text(old[kind]), prompt_text(new[kind])
    unified = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=AROUND)
    lines = tuple(unified)[2:]
    return PromptChange(name, kind, lines, wording.hunks(before, after)) if lines else None


def _results(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterable[Change]:
    cards = [Card.from_data(data["card"]) if data.get("card") else None for data in (old, new)]
    losses = old.get("loss") or {}, new.get("loss") or {}
    for key in CARD:
        before, after = (getattr(card, key, None) for card in cards)
        if before is not None or after is not None:
            yield Change(key, before, after)
    if any(losses):
        yield Change("last loss", losses[0].get("last"), losses[1].get("last"))
    seconds = old.get("seconds") or {}, new.get("seconds") or {}
    if any(seconds):
        yield Change("seconds", _sum(seconds[0]), _sum(seconds[1]))


def _sum(seconds: Mapping[str, float]) -> float:
    return round(sum(seconds.values()), 2)
