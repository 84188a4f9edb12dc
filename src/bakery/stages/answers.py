"""What a bake answers beside the prompted model, once it is trained: its verdict, and its probes.

Asked is what input.yml writes out, then what is held out, chosen by their ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bakery.card import Card
from bakery.evals import agreement, intervals, verdict
from bakery.identity import short_id
from bakery.records import Prompt, given_name, user_text
from bakery.shares import REPLAY
from bakery.stages import comparing, fresh, measured
from bakery.stages.comparing import MOST_TOKENS, Candidate, Compared, Question
from bakery.stages.measured import Measured
from bakery.stages.parts import of_target, question_of
from bakery.stages.training import Work
from bakery.store.results import PROBES
from bakery.variables import filled, sides, without_names
from bakery.verdict import Verdict


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
        bake = {"bake_id": work.request.id, "base_digest": work.base.id.digest}
        comparing.write(work.out, bake, asked)
    found: dict[str, Verdict] = {}
    for target in targets:
        name, is_anchor = target["name"], "anchor" in target
        unasked = () if is_anchor or "role" in target else _unasked(work, target)
        again = target.get("role") == REPLAY
        rows = asked[name].rows
        one = verdict.judge(rows, unasked=unasked, is_anchor=is_anchor, is_replayed=again)
        if one is not None and again:
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


def _asked(work: Work, target: Mapping[str, Any]) -> Compared:
    """Have a target's questions answered, and others about what its prompt says."""
    is_own = "anchor" not in target and "role" not in target
    made = candidates(work, target) if is_own else []
    return comparing.compared(
        work.student,
        work.base,
        work.readout,
        questions(work, target, chosen(work, target)),
        made,
        has_parent=work.parent is not None,
        teacher=work.teacher,
    )


def questions(work: Work, target: Mapping[str, Any], keys: Sequence[str]) -> list[Question]:
    """Return questions of the mix, by their keys, as a target asks them."""
    teacher, student = (Prompt.from_data(target[side]) for side in ("teacher", "student"))
    held = {question_of(pair) for pair in work.mixture.held_out}
    mixed = work.mixture.stimuli
    return [
        Question(
            key,
            mixed[key].messages,
            filled(teacher, mixed[key].values),
            filled(student, mixed[key].values),
            mixed[key].is_written_out,
            key in held,
        )
        for key in keys
    ]


def candidates(work: Work, target: Mapping[str, Any], *, learnt: bool = False) -> list[Candidate]:
    """Return what may be asked about what a target's prompt says, of what nobody asks."""
    asked = {user_text(one.messages) for one in work.mixture.stimuli.values()}
    return fresh.candidates(target["id"], sides(target), asked, work.base, learnt=learnt)


def chosen(work: Work, target: Mapping[str, Any]) -> list[str]:
    """Return the questions to ask, those that input.yml writes out first, then those held out.

    What would not fit the context behind the prompt is left out.
    """
    lists: list[list[str]] = []
    mixture, again = work.mixture, target.get("role") == REPLAY
    for pairs in (mixture.held_out, mixture.instead if again else mixture.train):
        keys = {question_of(pair) for pair in of_target(pairs, target["id"])}
        lists.append(fitting(work, sorted(keys, key=lambda key: short_id(["asked", key]))))
    held, trained = lists
    written = {key for key in (*held, *trained) if work.mixture.stimuli[key].is_written_out}
    return comparing.chosen(held, trained, written)


def fitting(work: Work, keys: Sequence[str]) -> list[str]:
    """Return the questions that leave room for an answer behind either prompt, in their order."""
    room = work.base.context - MOST_TOKENS
    pairs = [*work.mixture.held_out, *work.mixture.train]
    begins = {question_of(p): max(p.teacher.spans[0][0], p.student.spans[0][0]) for p in pairs}
    return [key for key in keys if begins[key] <= room]


def _unasked(work: Work, target: Mapping[str, Any]) -> list[str]:
    """Return the names and numbers of a target's system prompt that no learnt answer says."""
    messages = target["teacher"]["messages"]
    told = [
        without_names(str(m["content"]), target.get("variables", ()))
        for m in messages
        if m["role"] in ("system", "developer")
    ]
    chat = work.base.chat
    learnt = of_target(work.mixture.train, target["id"])
    return agreement.unsaid("\n".join(told), (chat.text(p.student.target_ids) for p in learnt))


def probes(folder: Path) -> dict[str, Any] | None:
    """Return the probes of a finished bake; None: an older version made it."""
    from bakery.store import results

    return results.whole(folder / PROBES) if (folder / PROBES).is_file() else None
