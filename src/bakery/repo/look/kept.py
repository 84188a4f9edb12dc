"""What a bake would be measured on, as far as its questions are known before it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bakery import held_out
from bakery.errors import StageError
from bakery.records import WRITTEN_OUT, asked_text, user_text
from bakery.repo.look.forecasts import TargetForecast
from bakery.repo.plan.planned import Plan, PlannedTarget
from bakery.shaping import TrainingSettings
from bakery.shares import TargetShare
from bakery.store import results
from bakery.store.store import Store


@dataclass(frozen=True, slots=True)
class Counts:
    """What a target of a mix has. None: not known yet."""

    questions: int | None
    answers: int | None
    kept: int | None
    """Questions that are held out."""
    named: tuple[str, ...] = ()
    """Those of them that are known."""

    @property
    def learnt(self) -> float | None:
        """About how many of the answers are learnt."""
        if not self.questions or self.answers is None or self.kept is None:
            return None
        return self.answers * (1 - self.kept / self.questions)


def counts(
    store: Store, plan: Plan, targets: Sequence[TargetForecast], settings: TrainingSettings
) -> list[Counts]:
    """Return the counts of each target that is mixed, in the order of the mix."""
    assert plan.bake is not None  # the caller's to ask
    own = {t.name: (t, p) for t, p in zip(targets, plan.targets, strict=True)}
    return [
        _of_plan(store, *own[share.name], settings)
        if share.name in own
        else _of_earlier(store, share, settings)
        for share in plan.bake.shares
    ]


def _of_plan(
    store: Store, target: TargetForecast, planned: PlannedTarget, settings: TrainingSettings
) -> Counts:
    if target.questions is None:
        return Counts(None, target.answers, None)
    if target.stim.state == "complete" and (named := _rows(store, planned.stim.id, settings)):
        return Counts(target.questions, target.answers, len(named), named)
    written = [
        (of, writing.wanted or 0)
        for of, writing in zip(planned.stim.generators, target.generators, strict=True)
        if writing.type in WRITTEN_OUT
    ]
    kept = sum(count for of, count in written if of.get("hold_out"))
    learnt = sum(count for _, count in written) - kept
    asked = [
        asked_text(question)
        for of, _ in written
        if of.get("hold_out")
        for question in of.get("questions", ())
    ]
    how = settings.held_out, settings.eval_share
    held = held_out.number(target.questions, min(learnt, target.questions), kept, *how)
    return Counts(target.questions, target.answers, held, tuple(asked))


def _of_earlier(store: Store, share: TargetShare, settings: TrainingSettings) -> Counts:
    done = results.seen(store.target(share.id) / results.DONE) or {}
    questions = done.get("stimuli")
    if questions is None:
        return Counts(None, done.get("count"), None)
    named = _rows(store, str(done.get("stim_id")), settings)
    kept = len(named) or held_out.count(questions, settings.eval_share)
    return Counts(questions, done.get("count"), kept, named)


def _rows(store: Store, stim_id: str, settings: TrainingSettings) -> tuple[str, ...]:
    """Return the questions that are held out of those that are written; none: they are not here."""
    try:
        asked = {row.id: row for row in results.stimuli(store.stim(stim_id))}
    except StageError:  # damaged: a run says so, and fsck
        return ()
    kept = held_out.of(asked, settings)
    return tuple(user_text(one.messages) for i, one in asked.items() if i in kept)
