"""Rounds behind the training, until the bake answers what it is asked as the prompted model does.

After each epoch the bake answers questions beside the prompted parent, those of the mix and others
about what the prompt says, in words that the verdict does not use. Those to which it says
something else come more often in the next epoch, with the answer it was to give, and with its own,
at each token of which the parent says what it would have said (DAgger, arXiv 1011.0686). The best
round is kept. An interrupted run goes on from its last round, or within it.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.card import together
from bakery.defaults import times_for
from bakery.engine.models import adapters
from bakery.engine.teacher.examples import Examples
from bakery.engine.teacher.teacher import Extended
from bakery.engine.text.views import Pair, pair_up
from bakery.engine.training.shown import Send
from bakery.engine.training.trainer import BakingTrainer
from bakery.evals import verdict
from bakery.evals.agreement import OTHERWISE, WORDING
from bakery.evals.sides import Said
from bakery.records import Prompt, write_atomic
from bakery.shaping import Until
from bakery.stages import answers, comparing, measured, training
from bakery.stages.comparing import Compared
from bakery.stages.measured import Measured
from bakery.stages.parts import question_of
from bakery.stages.training import CHECKPOINTS, Work
from bakery.verdict import WORDS

FILE = "rounds.json"
LOOKED_AT = 40
"""Questions of a target that are trained on and asked besides, the furthest first."""
FAR = OTHERWISE / 2
"""Nats at a token of a learnt answer from which its question is asked."""
LEAST = 3
"""How often what failed comes in the next round, at least."""


@dataclass(frozen=True, slots=True)
class Failed:
    """A question that may be trained on, and is answered otherwise: the ids of both answers."""

    key: str
    question: str
    prompted: tuple[int, ...]
    baked: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """How a bake stands after so many steps and epochs."""

    step: int
    epochs: int
    word: str
    """That of the answers alone: what the prompt or earlier bakes spoil is the card's to say."""
    asked: int
    differ: int
    """Questions that are answered otherwise, held-out ones among them."""
    wrong: int
    """Of them those with another name, number or refusal that are trained on."""
    kl: float
    """Nats per token, on what is held out."""
    first: str = ""
    """The worst question."""
    failed: tuple[Failed, ...] = field(default=())

    @property
    def is_enough(self) -> bool:
        """Whether more rounds have nothing to do: what a prompt itself spoils is not theirs."""
        return not self.failed and (self.word == WORDS[0] or not self.differ)

    @property
    def rank(self) -> tuple[int, int, int, float]:
        """The better, the less."""
        return WORDS.index(self.word), self.wrong, self.differ, self.kl

    def as_data(self) -> dict[str, Any]:
        """Return what bake.json says of it."""
        return {key: value for key, value in asdict(self).items() if key != "failed"}


def train(work: Work, limit: Until, send: Send) -> tuple[int, dict[str, Any]]:
    """Train round after round; return the last step of the best, and what is said of them all."""
    folder, known = work.out / CHECKPOINTS, dict[str, Said]()
    targets = [str(target["id"]) for target in work.mixture.targets]
    looks = _looks(folder, targets, work.reporter.note)
    if len(looks) > 1:
        adapters.load_own_state(work.student, weights(folder, len(looks) - 1))
    while not looks or not _is_over(looks, limit):
        step = _round(work, looks, send) if looks else work.total
        looks.append(
            work.worker.same(partial(_look, work, step, work.settings.epochs + len(looks), known))
        )
        _write(folder / FILE, looks)
        work.reporter.note(_said(looks, limit))
    best = _best(looks)
    if best != len(looks) - 1:
        adapters.load_own_state(work.student, weights(folder, best))
        work.reporter.note(f"round {best} is kept: no later one was better")
    said = {"kept": best, "rounds": [one.as_data() for one in looks]}
    return looks[best].step, {"until": said}


def weights(folder: Path, number: int) -> Path:
    """Return where the student lies as it was after a round; 0: after the training before them."""
    return folder / (training.TAUGHT if not number else f"round-{number}.safetensors")


def _is_over(looks: Sequence[Look], limit: Until) -> bool:
    """Tell whether it holds, or more rounds are not allowed, or the last ones were in vain."""
    if looks[-1].is_enough or looks[-1].epochs >= limit.max_epochs:
        return True
    return len(looks) - 1 - _best(looks) >= limit.patience


def _best(looks: Sequence[Look]) -> int:
    return min(range(len(looks)), key=lambda number: looks[number].rank)


def _round(work: Work, looks: Sequence[Look], send: Send) -> int:
    """Train an epoch on all there is, and more often on what failed; return its last step."""
    number, name = len(looks), f"round {len(looks)}"
    folder, done = work.out / CHECKPOINTS, weights(work.out / CHECKPOINTS, len(looks))
    pairs, extra = _again(work, looks)
    steps = math.ceil(len(pairs) / work.batch)
    if done.is_file():
        adapters.load_own_state(work.student, done)
        return looks[-1].step + steps
    loss = training.loss_of(work.settings)
    record = Extended(work.record, extra, *work.taught_by, loss)
    settings = replace(work.settings, epochs=1, seed=work.settings.seed + number, data_seed=None)
    again = replace(work, request=replace(work.request, training=settings))
    given = training.arguments(again, folder / f"round-{number}", own=steps)
    given.max_steps = steps
    examples = Examples([[pair] for pair in pairs], record)
    trainer = training.trainer(BakingTrainer, work, given, loss, examples)
    training.watch(trainer, work, send, before=looks[-1].step, phase=name)
    training.go_on(trainer, folder / f"round-{number}", name, work.reporter)
    training.keep(work.student, done)
    shutil.rmtree(folder / f"round-{number}", ignore_errors=True)
    return looks[-1].step + steps


def _again(work: Work, looks: Sequence[Look]) -> tuple[list[Pair], list[Pair]]:
    """Return what a round learns, and what of that nobody has recorded the teacher on."""
    extra = {
        pair.key: pair
        for number, look in enumerate(looks)
        for one in look.failed
        for pair in _corrected(work, one, number)
    }
    wrong = {one.key for one in looks[-1].failed}
    all_of_it = [*work.mixture.learnt, *extra.values()]
    often = {p.key: p for p in [*work.mixture.train, *extra.values()] if question_of(p) in wrong}
    times = times_for(len(often), len(all_of_it) - len(often), LEAST)
    return [*all_of_it, *(pair for pair in often.values() for _ in range(times))], [*extra.values()]


def _corrected(work: Work, failed: Failed, number: int) -> list[Pair]:
    """Return the answer that was to be given, and the one that was."""
    target = next(t for t in work.mixture.targets if failed.key.startswith(f"{t['id']}/"))
    teacher, student = (Prompt.from_data(target[side]) for side in ("teacher", "student"))
    mixed = work.mixture.stimuli.get(failed.key)
    messages = mixed.messages if mixed else ({"role": "user", "content": failed.question},)
    return [
        pair_up(work.base.chat, f"{failed.key}/{kind}-{number}", teacher, student, messages, answer)
        for kind, answer in (("prompted", failed.prompted), ("baked", failed.baked))
        if answer
    ]


def _look(work: Work, step: int, epochs: int, known: dict[str, Said]) -> Look:
    """Have the bake answer beside the prompted parent, and count."""
    far = measured.standing(work, "looking at what was learnt", measured.trained_on(work.mixture))
    with work.reporter.doing("comparing answers"):
        # What is replayed or held is taught without a prompt: it is not theirs to be asked behind.
        targets = [target for target in work.mixture.targets if "role" not in target]
        asked = [_asked(work, target, far, known) for target in targets]
    found = [
        one
        for target, asked_of in zip(targets, asked, strict=True)
        if (one := verdict.judge(asked_of.rows, is_anchor="anchor" in target)) is not None
    ]
    whole = verdict.of_all(found)
    rows = [row for one in asked for row in one.rows]
    left = [row for row in verdict.worst_first(rows) if row.is_fresh or not row.is_held_out]
    said = {
        question.key: (prompted.ids, baked.ids)
        for one in asked
        for question, prompted, baked in zip(one.questions, *one.said.values(), strict=False)
    }
    held = together(list(measured.standing(work, "measuring", work.mixture.measured).values()))
    return Look(
        step=step,
        epochs=epochs,
        word=whole.word if whole is not None else WORDS[0],
        asked=len(rows),
        differ=sum(bool(row.differs) for row in rows),
        wrong=sum(row.differs != WORDING for row in left),
        kl=held.kl if held is not None else 0.0,
        first=left[0].question if left else "",
        failed=tuple(Failed(row.key, row.question, *said[row.key]) for row in left),
    )


def _asked(work: Work, target: dict[str, Any], far: Measured, known: dict[str, Said]) -> Compared:
    """Ask what the verdict will ask of a target, what was learnt least, and paraphrases."""
    keys = answers.chosen(work, target)
    least = [
        key
        for key in sorted(far, key=lambda key: (-far[key].worst, key))
        if far[key].worst >= FAR and key.startswith(f"{target['id']}/") and key not in keys
    ]
    keys += answers.fitting(work, least)[:LOOKED_AT]
    more = [] if "anchor" in target else answers.candidates(work, target, learnt=True)
    asked, models = answers.questions(work, target, keys), (work.student, work.base, work.readout)
    found = comparing.side_by_side(*models, asked, more, known=known, teacher=work.teacher)
    known |= found.prompted
    return found


def _said(looks: Sequence[Look], limit: Until) -> str:
    """Return where a bake stands, and what comes next."""
    now, number = looks[-1], len(looks) - 1
    said = f"round {number}" if number else f"after {now.epochs} epoch{'s' * (now.epochs > 1)}"
    said += f": {now.differ} of {now.asked} questions are answered otherwise than under the prompt"
    said += f", {now.kl:.3g} nats per token held out"
    if now.is_enough:
        return f"{said}: that is enough"
    if not _is_over(looks, limit):
        again = f"asks {len(now.failed)} of them more often" if now.failed else "learns all again"
        first = f', first "{now.first:.60}"' if now.first else ""
        return f"{said}: round {number + 1} {again}{first}"
    if now.epochs >= limit.max_epochs:
        return f"{said}: no more than {limit.max_epochs} epochs were asked for (BAKE.max_epochs)"
    return f"{said}: {limit.patience} rounds made it no better"


def _write(path: Path, looks: Sequence[Look]) -> None:
    write_atomic(path, json.dumps({"schema": 1, "looks": [asdict(one) for one in looks]}) + "\n")


def _looks(folder: Path, targets: Collection[str], note: Callable[[str], None]) -> list[Look]:
    """Return the looks of a run that goes on, as far as the weights of their rounds are there."""
    try:
        found = [
            _read(one, targets)
            for one in json_file.load_object(folder / FILE, most=json_file.LARGEST)["looks"]
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        note(f"{folder / FILE} is damaged, and what it says is found out again: {error}")
        return []
    whole = next((n for n in range(len(found)) if not weights(folder, n).is_file()), len(found))
    for number in range(whole + 1, len(found) + 1):
        weights(folder, number).unlink(missing_ok=True)
    return found[:whole]


def _read(row: dict[str, Any], targets: Collection[str]) -> Look:
    """Return a look as it was written; KeyError, TypeError or ValueError where it is none."""
    look = Look(**{**row, "failed": tuple(_failed(one, targets) for one in row["failed"])})
    counts = (look.step, look.epochs, look.asked, look.differ, look.wrong)
    if look.word not in WORDS or not all(map(json_file.is_whole, counts)):
        raise ValueError(f"no bake is {look.word!r}" if look.word not in WORDS else "no counts")
    if type(look.kl) not in (int, float) or not isinstance(look.first, str):
        raise ValueError(f"{look.kl!r} is no number of nats")
    return look


def _failed(row: dict[str, Any], targets: Collection[str]) -> Failed:
    found = Failed(row["key"], row["question"], tuple(row["prompted"]), tuple(row["baked"]))
    if str(found.key).partition("/")[0] not in targets or not isinstance(found.question, str):
        raise ValueError(f"no target has the question {found.key!r}")
    if not all(map(json_file.is_whole, (*found.prompted, *found.baked))):
        raise ValueError(f"the answers to {found.key!r} are no tokens")
    return found
