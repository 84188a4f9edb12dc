"""What a bake of rows answers beside the prompted model: its verdict, as in `bgit`, and its probes.

Asked is what the rows ask. Written out, and so to be learnt in any case, is `training_prompts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from bakery.card import Card
from bakery.data.rows import Row
from bakery.distil.settings import narrowed
from bakery.distil.settings.parse import Settings
from bakery.distil.trainer import ContextBakingTrainer
from bakery.engine.models.models import BaseModel, Source
from bakery.engine.modes import evaluating
from bakery.engine.text.chat import Chat
from bakery.engine.text.pairs import ContextSettings, RowRefused, question
from bakery.engine.training.rounds import answers_in
from bakery.errors import ConfigError
from bakery.evals import agreement, verdict
from bakery.identity import BaseModelId, canonical, short_id
from bakery.records import user_text
from bakery.reporting import Reporter
from bakery.stages import comparing, fresh
from bakery.stages.comparing import MOST_TOKENS, Candidate, Question
from bakery.store.results import TRAJECTORIES

ROWS = "rows"
"""What asked.jsonl and probes.json call the one target that there is."""
LOOKED_AT = 64
"""Questions of which those are chosen that are asked."""


def judged(
    card: Card,
    trainer: ContextBakingTrainer,
    source: Source,
    settings: Settings,
    rows: Sequence[Row],
    held_out: Sequence[Row],
    *,
    reporter: Reporter,
) -> Card:
    """Return the card with a verdict and the worst answers; leave all answers in output_dir.

    Where nothing can be asked, a note says why.
    """
    context = narrowed.views(settings.context)
    if why := _why_none(settings, context):
        reporter.note(f"no verdict: {why}")
        return card
    base = BaseModel(BaseModelId(source.name, "", ""), trainer.model.get_base_model(), trainer.chat)
    is_written = settings.data.training_prompts is not None
    there = asked_by(rows, held_out, context, is_written=is_written)
    asked = _chosen(*there, base)
    if not asked:
        reporter.note(
            "no verdict: no row asks anything that fits the context, so there are no answers to "
            "compare"
        )
        return card
    with reporter.doing("comparing answers"), evaluating(trainer.model):
        with trainer.accelerator.autocast():
            more = _afresh([*there[0], *there[1]], base)
            found = comparing.compared(
                trainer.model, base, trainer.readout, asked, more, teacher=trainer.other
            )
        unasked = _unasked(trainer, settings, asked)
    comparing.write(trainer.args.out, {"base": source.name}, {ROWS: found})
    return replace(
        card,
        verdict=verdict.judge(found.rows, unasked=unasked),
        side_by_side=verdict.side_by_side(found.rows),
    )


def _afresh(asked: Sequence[Question], base: BaseModel) -> list[Candidate]:
    """Return what may be asked about a prompt that all rows share."""
    prompts = {canonical([one.teacher.as_data(), one.student.as_data()]) for one in asked}
    if len(prompts) != 1:
        return []
    sides, texts = (asked[0].teacher, asked[0].student), [user_text(one.messages) for one in asked]
    return fresh.candidates(ROWS, sides, texts, base)


def _why_none(settings: Settings, context: ContextSettings) -> str | None:
    """Return why whole answers say nothing of this bake; None: they do."""
    if settings.training.in_parts:
        return "under fsdp and deepspeed nobody has the whole model to ask"
    if "assistant" not in context.target_roles:
        return "target_roles has no answers, so there are none to compare"
    if context.target_content_pattern is not None:
        return "target_content_pattern learns parts of answers, so whole ones are not compared"
    return None


def asked_by(
    rows: Iterable[Row], held_out: Iterable[Row], context: ContextSettings, *, is_written: bool
) -> tuple[list[Question], list[Question]]:
    """Return what training rows ask, and what only held-out ones do, in the order to be asked in.

    `is_written`: somebody wrote the former out.
    """
    learnt = _questions(rows, context, is_written=is_written, is_held_out=False)
    held = _questions(held_out, context, is_written=False, is_held_out=True)
    return list(learnt.values()), [one for key, one in held.items() if key not in learnt]


def _questions(
    rows: Iterable[Row], context: ContextSettings, *, is_written: bool, is_held_out: bool
) -> dict[str, Question]:
    """Return what rows ask by its key, each question once, in the order to be asked in."""
    found = {}
    for row in rows:
        try:
            asks = question(row, context)
        except RowRefused:
            continue
        if asks is None or asks[0] == asks[1]:
            continue
        teacher, student, messages = asks
        key = short_id(["asked", canonical([teacher.as_data(), student.as_data(), messages])])
        found[key] = Question(key, messages, teacher, student, is_written, is_held_out)
    return dict(sorted(found.items()))


def _chosen(learnt: list[Question], held: list[Question], base: BaseModel) -> list[Question]:
    """Return what is asked: what is written out or held out first, and what fits."""
    room = base.context - MOST_TOKENS
    held, learnt = (
        list(islice(_fitting(base.chat, some, room), LOOKED_AT)) for some in (held, learnt)
    )
    there = {one.key: one for one in [*held, *learnt]}
    written = {key for key, one in there.items() if one.is_written}
    keys = comparing.chosen([one.key for one in held], [one.key for one in learnt], written)
    return [there[key] for key in keys]


def _fitting(chat: Chat, asked: Iterable[Question], room: int) -> Iterator[Question]:
    """Yield the questions that leave room for an answer behind both prompts."""
    for one in asked:
        try:
            sides = [chat.prefix_ids(own, one.messages) for own in (one.teacher, one.student)]
        except ConfigError:  # the template takes no such conversation: nothing of it is learnt
            continue
        if max(map(len, sides)) <= room:
            yield one


def _unasked(
    trainer: ContextBakingTrainer, settings: Settings, asked: Sequence[Question]
) -> list[str]:
    """Return the names and numbers of the system prompt of all rows that no learnt answer says."""
    messages = settings.context.prefix or ()
    told = "\n".join(str(m["content"]) for m in messages if m["role"] in ("system", "developer"))
    if any(one.teacher.messages != messages for one in asked) or not agreement.unsaid(told, ()):
        return []
    return agreement.unsaid(told, _learnt(trainer))


def _learnt(trainer: ContextBakingTrainer) -> Iterator[str]:
    """Yield the text of every answer that was learnt: the student's own are in a file."""
    for pair in trainer.train_dataset.pairs:
        yield trainer.chat.text(pair.student.target_ids)
    if trainer.args.on_policy:
        for one in answers_in(trainer.args.out / TRAJECTORIES):
            yield one.text
