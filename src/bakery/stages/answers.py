"""What a bake answers beside the prompted model, once it is trained: its verdict, and its probes.

Asked is what input.yml writes out, then what is held out, chosen by their ids.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bakery.backends.local import LocalModel
from bakery.card import Card
from bakery.evals import agreement, intervals, verdict
from bakery.evals.sides import Said, while_training
from bakery.generators import asking
from bakery.identity import short_id
from bakery.records import Prompt, user_text
from bakery.stages import comparing, measured
from bakery.stages.comparing import KNOWN, MOST_TOKENS, Compared, Question
from bakery.stages.measured import Measured
from bakery.stages.mix import of_target, question_of
from bakery.stages.training import Work
from bakery.statements import EXAMPLE, statements
from bakery.store.results import PROBES
from bakery.verdict import Verdict

FRESH = 8
"""Questions about what the prompt says that nobody wrote or learnt."""


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
        unasked = () if is_anchor else _unasked(work, target)
        one = verdict.judge(asked[name].rows, unasked=unasked, is_anchor=is_anchor)
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
    """Have a target's questions answered, and some that nobody asked; the base, where shown."""
    fresh, known = ({}, KNOWN) if "anchor" in target else _fresh(work, target)
    asked = _questions(work, target, chosen(work, target), fresh)
    has_parent = work.parent is not None
    return comparing.compared(
        work.student, work.base, work.readout, asked, known=known, has_parent=has_parent
    )


def ask(
    work: Work, target: Mapping[str, Any], keys: Sequence[str], *, known: Mapping[str, Said]
) -> Compared:
    """Have the prompted parent and the student as it stands answer questions of the mix.

    `known` are prompted answers by the keys of their questions: those are not given anew.
    """
    asked = _questions(work, target, keys, {})
    return comparing.answered(work.student, work.base, work.readout, asked, known=known)


def _questions(
    work: Work, target: Mapping[str, Any], keys: Sequence[str], fresh: Mapping[str, str]
) -> list[Question]:
    """Return questions of the mix by their keys, and `fresh` ones by keys of their own."""
    teacher, student = (Prompt.from_data(target[side]) for side in ("teacher", "student"))
    mixed, held = work.mixture.stimuli, {question_of(pair) for pair in work.mixture.held_out}
    found = [
        Question(key, mixed[key].messages, teacher, student, mixed[key].is_written_out, key in held)
        for key in keys
    ]
    for key, text in fresh.items():
        turn = ({"role": "user", "content": text},)
        found.append(Question(key, turn, teacher, student, is_held_out=True, is_fresh=True))
    return found


def chosen(work: Work, target: Mapping[str, Any]) -> list[str]:
    """Return the questions to ask, those that input.yml writes out first, then those held out.

    What would not fit the context behind the prompt is left out.
    """
    lists: list[list[str]] = []
    for pairs in (work.mixture.held_out, work.mixture.train):
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


def _fresh(work: Work, target: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Said]]:
    """Return questions about what the prompt says that are asked nowhere, and prompted answers.

    By rule; of them those that the prompted model answers with something of its prompt.
    """
    local = LocalModel(work.base)
    local.model = work.student
    teacher, student = (Prompt.from_data(target[side]) for side in ("teacher", "student"))
    sides = while_training(local, teacher, student)
    asked = {user_text(one.messages).strip().casefold() for one in work.mixture.stimuli.values()}
    of_each = [
        asking.questions(one.text, teacher, random.Random(one.text))
        for one in statements(teacher)
        if not one.text.startswith(EXAMPLE)
    ]
    in_turn = [one for row in zip_longest(*of_each) for one in row if one is not None]
    new = [one for one in dict.fromkeys(in_turn) if one.casefold() not in asked][: 2 * FRESH]
    room = work.base.context - MOST_TOKENS
    turns = [({"role": "user", "content": one},) for one in new]
    if any(len(work.base.chat.prefix_ids(teacher, one)) > room for one in turns):
        return {}, {}
    said, prompt = sides.say("prompted", turns, MOST_TOKENS), comparing.text_of(teacher)
    telling = [
        (question, one)
        for question, one in zip(new, said, strict=True)
        if agreement.tells(prompt, question, one.text)
    ][:FRESH]
    keys = [f"{target['id']}/fresh-{number}" for number in range(len(telling))]
    questions, answers = zip(*telling, strict=True) if telling else ((), ())
    return dict(zip(keys, questions, strict=True)), dict(zip(keys, answers, strict=True))


def _unasked(work: Work, target: Mapping[str, Any]) -> list[str]:
    """Return the names and numbers of a target's system prompt that no learnt answer says."""
    messages = target["teacher"]["messages"]
    told = [str(m["content"]) for m in messages if m["role"] in ("system", "developer")]
    chat = work.base.chat
    learnt = of_target(work.mixture.train, target["id"])
    return agreement.unsaid("\n".join(told), (chat.text(p.student.target_ids) for p in learnt))


def probes(folder: Path) -> dict[str, Any] | None:
    """Return the probes of a finished bake; None: an older version made it."""
    from bakery.store import results

    return results.whole(folder / PROBES) if (folder / PROBES).is_file() else None
