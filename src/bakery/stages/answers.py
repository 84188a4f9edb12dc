"""What a bake answers beside the prompted model, once it is trained: its verdict, and its probes.

Greedily, to questions that are chosen by their ids: what input.yml writes out, then what is held
out. Leaves `asked.jsonl` and `probes.json` in the folder of the bake.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bakery.backends.local import LocalModel
from bakery.card import Card
from bakery.engine.text.views import Pair, pair_up, view
from bakery.evals import agreement, intervals, verdict
from bakery.evals.agreement import Answered
from bakery.evals.distances import Begun, Distance, along, distances
from bakery.evals.sides import Said, Sides, while_training
from bakery.identity import short_id
from bakery.records import Message, Prompt, given_name, user_text, write_atomic
from bakery.shares import REPLAY
from bakery.stages import measured
from bakery.stages.measured import Measured
from bakery.stages.parts import of_target, question_of
from bakery.stages.training import Work
from bakery.store.results import ASKED, PROBES
from bakery.verdict import Verdict

WRITTEN, HELD_OUT, FEWEST = 20, 20, 24
"""Questions of a target: of those that input.yml writes out, of those that are held out at most,
and so many with others where there are too few of both."""
MOST_TOKENS = 48
"""Of each answer. Of longer ones the beginnings are compared."""
PROBED = 12


@dataclass(slots=True)
class Asked:
    """A target's questions, and what was answered to them."""

    sides: Sides
    pairs: list[Pair] = field(default_factory=list)
    rows: list[Answered] = field(default_factory=list)
    said: dict[str, list[Said]] = field(default_factory=dict)
    base: list[tuple[Said, Begun]] = field(default_factory=list)
    """Of the questions that are probed."""
    far: list[Distance] = field(default_factory=list)


def judged(work: Work, before: Measured, after: Measured) -> Card:
    """Return the card of a bake, with a verdict and the worst answers, of each target and of all.

    Of answers that were made up nothing is wanted.
    """
    card = measured.card(before, after, work.mixture, work.base.chat)
    targets = work.mixture.targets
    if any("backend" in target for target in targets):
        return card
    with work.reporter.doing("comparing answers"):
        asked = {target["name"]: _asked(work, target) for target in targets}
        _write(work, asked)
    found: dict[str, Verdict] = {}
    for target in targets:
        name, is_anchor = target["name"], "anchor" in target
        unasked = () if is_anchor or "role" in target else _unasked(work, target)
        one = verdict.judge(asked[name].rows, unasked=unasked, is_anchor=is_anchor)
        if one is not None and target.get("role") == REPLAY:
            one = replace(one, reason=f"{given_name(name)}, which is replayed: {one.reason}")
        if one is not None:
            found[name] = one
    anchors = {target["name"] for target in targets if "anchor" in target}
    own = found.keys() - anchors or found.keys()
    whole = verdict.of_all([found[name] for name in asked if name in own])
    if whole is not None:
        whole = replace(whole, figures={**whole.figures, **intervals.of_card(before, after)})
    return replace(
        card,
        verdict=whole,
        side_by_side=verdict.side_by_side([row for name in own for row in asked[name].rows]),
        targets={
            name: replace(part, verdict=found.get(name)) for name, part in card.targets.items()
        },
    )


def _asked(work: Work, target: Mapping[str, Any]) -> Asked:
    """Have the prompted parent and the bake answer; the base only where it is shown."""
    local = LocalModel(work.base)
    local.model = work.student
    teacher, student = (Prompt.from_data(target[side]) for side in ("teacher", "student"))
    found = Asked(while_training(local, teacher, student))
    keys = _chosen(work, target)
    if not keys:
        return found
    messages = [work.mixture.stimuli[key].messages for key in keys]
    prompted = found.sides.say("prompted", messages, MOST_TOKENS)
    baked = found.sides.say("baked", messages, MOST_TOKENS)
    chat = work.base.chat
    found.pairs = [
        pair_up(chat, key, teacher, student, asked, one.ids)
        for key, asked, one in zip(keys, messages, prompted, strict=True)
    ]
    found.far = distances(work.student, work.readout, found.pairs)
    found.said = {"prompted": prompted, "baked": baked}
    held = {question_of(pair) for pair in work.mixture.held_out}
    rows = [
        Answered(
            key,
            user_text(asked),
            one.text,
            other.text,
            round(far.nats, 4),
            round(far.sure, 4),
            work.mixture.stimuli[key].is_written_out,
            key in held,
        )
        for key, asked, one, other, far in zip(
            keys, messages, prompted, baked, found.far, strict=True
        )
    ]
    found.rows = _with_base(work, found, rows, messages)
    return found


def _with_base(
    work: Work, found: Asked, rows: list[Answered], messages: Sequence[Sequence[Message]]
) -> list[Answered]:
    """Have the base answer what is probed and what is shown."""
    shown = {row.key for row in verdict.worst_first(rows)[: verdict.SHOWN]}
    at = [i for i, row in enumerate(rows) if i < PROBED or row.key in shown]
    asked, sides = [messages[i] for i in at], found.sides
    base = sides.say("base", asked, MOST_TOKENS)
    prefixes = [work.base.chat.prefix_ids(sides.student, one) for one in asked]
    views = [view(ids, one.ids) for ids, one in zip(prefixes, base, strict=True)]
    with sides.turned("base"):
        begun = along(work.student, work.readout, views)
    found.base = list(zip(base, begun, strict=True))[: min(PROBED, len(rows))]
    more = _beside_earlier(work, sides, asked) if work.parent is not None else None
    for n, (i, one, own) in enumerate(zip(at, base, begun, strict=True)):
        rows[i] = replace(rows[i], base=one.text, base_sure=round(own.sure, 4))
        if more is not None:
            unprompted, on_base = (said[n].text for said in more)
            rows[i] = replace(rows[i], unprompted=unprompted, on_base=on_base)
    return rows


def _beside_earlier(
    work: Work, sides: Sides, asked: Sequence[Sequence[Message]]
) -> tuple[list[Said], list[Said]]:
    """Return what the parent says without the prompt, and the base with it."""
    on_base = replace(sides, student=sides.teacher)
    return sides.say("parent", asked, MOST_TOKENS), on_base.say("base", asked, MOST_TOKENS)


def _chosen(work: Work, target: Mapping[str, Any]) -> list[str]:
    """Return the questions to ask, those that input.yml writes out first, then those held out.

    What would not fit the context behind the prompt is left out.
    """
    room = work.base.context - MOST_TOKENS
    lists: list[list[str]] = []
    mixture, again = work.mixture, target.get("role") == REPLAY
    for pairs in (mixture.held_out, mixture.instead if again else mixture.train):
        fitting = {
            question_of(pair)
            for pair in of_target(pairs, target["id"])
            if pair.teacher.spans[0][0] <= room and pair.student.spans[0][0] <= room
        }
        lists.append(sorted(fitting, key=lambda key: short_id(["asked", key])))
    held, trained = lists
    written = [k for k in [*trained, *held] if work.mixture.stimuli[k].is_written_out][:WRITTEN]
    others = [key for key in held if key not in written][:HELD_OUT]
    chosen = [*written, *others]
    more = [key for key in trained if key not in written]
    return [*chosen, *more[: max(0, FEWEST - len(chosen))]]


def _unasked(work: Work, target: Mapping[str, Any]) -> list[str]:
    """Return the names and numbers of a target's system prompt that no learnt answer says."""
    messages = target["teacher"]["messages"]
    told = [str(m["content"]) for m in messages if m["role"] in ("system", "developer")]
    chat = work.base.chat
    learnt = of_target(work.mixture.train, target["id"])
    return agreement.unsaid("\n".join(told), (chat.text(p.student.target_ids) for p in learnt))


def _write(work: Work, asked: Mapping[str, Asked]) -> None:
    """Leave what was asked, and the probes, beside the bake."""
    rows = [
        json.dumps({"target": name, **row.as_data()}, ensure_ascii=False)
        for name, one in asked.items()
        for row in one.rows
    ]
    write_atomic(work.out / ASKED, "".join(f"{row}\n" for row in rows))
    probes = [probe for name, one in asked.items() for probe in _probes(name, one)]
    said = {
        "schema": 1,
        "bake_id": work.request.id,
        "base_digest": work.base.id.digest,
        "probes": probes,
    }
    write_atomic(work.out / PROBES, json.dumps(said, ensure_ascii=False) + "\n")


def _probes(name: str, one: Asked) -> list[dict[str, Any]]:
    """Return what the first questions of a target would be answered with, token by token."""
    if not one.rows:
        return []
    return [
        {
            "key": pair.key,
            "target": name,
            "question": row.question,
            "student_prefix": list(pair.student.ids[: pair.student.spans[0][0]]),
            "teacher_prefix": list(pair.teacher.ids[: pair.teacher.spans[0][0]]),
            "top": {"base": begun.first, "prompted": far.prompted, "baked": far.baked},
            "greedy": {
                "base": list(base.ids),
                "prompted": list(prompted.ids),
                "baked": list(baked.ids),
            },
        }
        for pair, row, far, prompted, baked, (base, begun) in zip(
            one.pairs, one.rows, one.far, one.said["prompted"], one.said["baked"], one.base,
            strict=False,
        )
    ]  # fmt: skip


def probes(folder: Path) -> dict[str, Any] | None:
    """Return the probes of a finished bake; None: an older version made it."""
    from bakery.store import results

    return results.whole(folder / PROBES) if (folder / PROBES).is_file() else None
