"""What a bake answers beside the prompted model, once it is trained: its verdict, and its probes.

Greedily, to questions that are chosen by their ids: what input.yml writes out, then what is held
out. Leaves `asked.jsonl` and `probes.json` in the folder of the bake.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bakery.backends.local import LocalModel
from bakery.card import Card
from bakery.engine.text.views import Pair, pair_up, view
from bakery.evals import agreement, intervals, verdict
from bakery.evals.agreement import Answered
from bakery.evals.distances import Begun, Distance, along, distances
from bakery.evals.sides import Said, Sides, while_training
from bakery.generators import asking
from bakery.identity import short_id
from bakery.records import Message, Prompt, user_text, write_atomic
from bakery.stages import measured
from bakery.stages.measured import Measured
from bakery.stages.mix import of_target, question_of
from bakery.stages.training import Work
from bakery.statements import EXAMPLE, statements
from bakery.store.results import ASKED, PROBES
from bakery.verdict import Verdict

WRITTEN, HELD_OUT, FEWEST = 20, 20, 24
"""Questions of a target: of those that input.yml writes out, of those that are held out at most,
and so many with others where there are too few of both."""
MOST_TOKENS = 48
"""Of each answer. Of longer ones the beginnings are compared."""
PROBED = 12
FRESH = 8
"""Questions about what the prompt says that nobody wrote or learnt."""
EMPTY: Mapping[str, str] = {}
KNOWN: Mapping[str, Said] = {}


@dataclass(slots=True)
class Asked:
    """A target's questions, and what was answered to them."""

    sides: Sides
    keys: list[str]
    messages: list[Sequence[Message]] = field(default_factory=list)
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


def _asked(work: Work, target: Mapping[str, Any]) -> Asked:
    """Have the prompted parent and the bake answer; the base only where it is shown."""
    fresh, known = ({}, KNOWN) if "anchor" in target else otherwise(work, target)
    found = ask(work, target, chosen(work, target), fresh=fresh, known=known)
    if found.rows:
        found.rows = _with_base(work, found)
    return found


def ask(
    work: Work,
    target: Mapping[str, Any],
    keys: Sequence[str],
    *,
    fresh: Mapping[str, str] = EMPTY,
    known: Mapping[str, Said] = KNOWN,
) -> Asked:
    """Have the prompted parent and the student as it stands answer questions of a target.

    `keys` are of questions of the mix, `fresh` others by a key of their own. `known` are prompted
    answers by the keys of their questions: those are not given anew.
    """
    found = Asked(_sides(work, target), [*keys, *fresh])
    teacher, student = found.sides.teacher, found.sides.student
    if not found.keys:
        return found
    mixed = work.mixture.stimuli
    found.messages = [
        ({"role": "user", "content": fresh[key]},) if key in fresh else mixed[key].messages
        for key in found.keys
    ]
    new = [at for at, key in enumerate(found.keys) if key not in known]
    said = found.sides.say("prompted", [found.messages[at] for at in new], MOST_TOKENS)
    taught = {**known, **{found.keys[at]: one for at, one in zip(new, said, strict=True)}}
    prompted = [taught[key] for key in found.keys]
    found.said = {
        "prompted": prompted,
        "baked": found.sides.say("baked", found.messages, MOST_TOKENS),
    }
    found.pairs = [
        pair_up(work.base.chat, key, teacher, student, asked, one.ids)
        for key, asked, one in zip(found.keys, found.messages, prompted, strict=True)
    ]
    found.far = distances(work.student, work.readout, found.pairs)
    found.rows = _rows(work, found, fresh)
    return found


def _sides(work: Work, target: Mapping[str, Any]) -> Sides:
    local = LocalModel(work.base)
    local.model = work.student
    teacher, student = (Prompt.from_data(target[side]) for side in ("teacher", "student"))
    return while_training(local, teacher, student)


def _rows(work: Work, found: Asked, fresh: Mapping[str, str]) -> list[Answered]:
    """Return both answers to each question, side by side."""
    mixed, held = work.mixture.stimuli, {question_of(pair) for pair in work.mixture.held_out}
    told = agreement.told_of(
        "\n".join(str(m.get("content") or "") for m in found.sides.teacher.messages)
    )
    answers = zip(found.keys, found.messages, *found.said.values(), found.far, strict=True)
    return [
        Answered(
            key,
            user_text(asked),
            prompted.text,
            baked.text,
            round(far.nats, 4),
            round(far.sure, 4),
            is_written=key not in fresh and mixed[key].is_written_out,
            is_held_out=key in fresh or key in held,
            told=tuple(sorted(told & agreement.told_of(f"{prompted.text}\n{baked.text}"))),
            is_fresh=key in fresh,
        )
        for key, asked, prompted, baked, far in answers
    ]


def _with_base(work: Work, found: Asked) -> list[Answered]:
    """Have the base answer what is probed and what is shown."""
    rows, messages = list(found.rows), found.messages
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


def chosen(work: Work, target: Mapping[str, Any]) -> list[str]:
    """Return the questions to ask, those that input.yml writes out first, then those held out.

    What would not fit the context behind the prompt is left out.
    """
    lists: list[list[str]] = []
    for pairs in (work.mixture.held_out, work.mixture.train):
        keys = {question_of(pair) for pair in of_target(pairs, target["id"])}
        lists.append(fitting(work, sorted(keys, key=lambda key: short_id(["asked", key]))))
    held, trained = lists
    written = [k for k in [*trained, *held] if work.mixture.stimuli[k].is_written_out][:WRITTEN]
    others = [key for key in held if key not in written][:HELD_OUT]
    chosen = [*written, *others]
    more = [key for key in trained if key not in written]
    return [*chosen, *more[: max(0, FEWEST - len(chosen))]]


def fitting(work: Work, keys: Sequence[str]) -> list[str]:
    """Return the questions that leave room for an answer behind either prompt, in their order."""
    room = work.base.context - MOST_TOKENS
    pairs = [*work.mixture.held_out, *work.mixture.train]
    begins = {question_of(p): max(p.teacher.spans[0][0], p.student.spans[0][0]) for p in pairs}
    return [key for key in keys if begins[key] <= room]


def otherwise(
    work: Work, target: Mapping[str, Any], *, learnt: bool = False
) -> tuple[dict[str, str], dict[str, Said]]:
    """Return questions about what the prompt says that are asked nowhere, and prompted answers.

    By rule; of them those that the prompted model answers with something of its prompt. Every
    second one may be `learnt` (`stages.until`): the verdict asks the others.
    """
    sides = _sides(work, target)
    teacher = sides.teacher
    asked = {user_text(one.messages).strip().casefold() for one in work.mixture.stimuli.values()}
    of_each = []
    for one in statements(teacher):
        if not one.text.startswith(EXAMPLE):
            made = asking.questions(one.text, teacher, random.Random(one.text))
            new = [question for question in made if question.casefold() not in asked]
            of_each.append(new[int(learnt) :: 2])
    in_turn = [one for row in zip_longest(*of_each) for one in row if one is not None]
    new = list(dict.fromkeys(in_turn))[: 2 * FRESH]
    room = work.base.context - MOST_TOKENS
    turns = [({"role": "user", "content": one},) for one in new]
    if any(len(work.base.chat.prefix_ids(teacher, one)) > room for one in turns):
        return {}, {}
    said, prompt = sides.say("prompted", turns, MOST_TOKENS), _text_of(teacher)
    telling = [
        (question, one)
        for question, one in zip(new, said, strict=True)
        if agreement.tells(prompt, question, one.text)
    ][:FRESH]
    kind = "learnt" if learnt else "fresh"
    keys = [f"{target['id']}/{kind}-{number}" for number in range(len(telling))]
    questions, answers = zip(*telling, strict=True) if telling else ((), ())
    return dict(zip(keys, questions, strict=True)), dict(zip(keys, answers, strict=True))


def _text_of(prompt: Prompt) -> str:
    return "\n".join(str(one.get("content") or "") for one in prompt.messages)


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
