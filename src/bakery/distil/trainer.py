"""The library's trainer: any data set, any context, any PEFT model.

Rows become examples once, or are answered anew by the teacher each epoch; the teacher is run
over each of them once, before it is trained on. Or the student answers them (`on_policy`), before
each step. The rest is `BakingTrainer`.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftConfig, PeftModel
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from bakery.card import Fidelity
from bakery.data.datasets import prompt_baking_collator, rows_of
from bakery.distil import elsewhere, student
from bakery.distil.beginning import Beginning
from bakery.distil.settings import narrowed
from bakery.engine.loss.forms import Form
from bakery.engine.loss.losses import Divergence, Loss, make_loss
from bakery.engine.loss.readout import Readout
from bakery.engine.models import loaded
from bakery.engine.models.adapters import parent_only
from bakery.engine.models.models import embedded, end_ids
from bakery.engine.modes import evaluating
from bakery.engine.packed.prefixes import Prefixes
from bakery.engine.sampling.sampling import Captured
from bakery.engine.teacher.examples import Examples, Features
from bakery.engine.teacher.fidelity import totals
from bakery.engine.teacher.keeping import Place, live, taught
from bakery.engine.teacher.teacher import (
    Asked,
    KeptTeacher,
    LiveTeacher,
    TeacherRecord,
    teaching,
)
from bakery.engine.text.chat import Chat
from bakery.engine.text.views import Pair
from bakery.engine.training import checkpoints, on_policy
from bakery.engine.training.numerics import FILE as NUMERICS
from bakery.engine.training.on_policy import KeptAnswers, OnPolicyTrainer, Places
from bakery.engine.training.rounds import Rounds
from bakery.errors import ConfigError
from bakery.reporting import Quiet, Reporter
from bakery.settings.config import BakeryConfig, ContextConfig, LoraConfig, context_of
from bakery.store.results import TRAJECTORIES

MOST_PROBED = 64
"""Training rows on which fidelity is measured where nothing is held out."""


class ContextBakingTrainer(OnPolicyTrainer):
    """Distil a context into the adapter of a PEFT model; the adapter off is the teacher.

    Takes what the data functions of this package return, lists of such rows, or `Rounds`.
    """

    _own: KeptAnswers | None

    def __init__(
        self,
        model: PeftModel | PreTrainedModel | str | Path | None = None,
        args: BakeryConfig | None = None,
        context_config: ContextConfig | None = None,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        data_collator: Callable[..., Any] | None = None,
        compute_metrics: Callable[..., Any] | None = None,
        callbacks: list[Any] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        *,
        peft_config: PeftConfig | LoraConfig | None = None,
        teacher: PreTrainedModel | PeftModel | None = None,
        reporter: Reporter | None = None,
    ) -> None:
        """Make a trainer of a model, or of a name: a hub id, a folder, `tiny`.

        What has no adapter gets one: `peft_config`, else of the size that suits the base. What
        `args` leaves open is settled by the base and the rows (docs/bakery.md). `teacher` is
        another model of the same tokens that teaches in place of the student's own base.
        """
        if not isinstance(args, BakeryConfig):
            raise ConfigError("ContextBakingTrainer needs args=BakeryConfig(...)")
        learning, tokenizer = student.of(model, args, processing_class, peft_config)
        _refuse_unused(data_collator, compute_metrics)
        self.reporter = reporter or Quiet()
        self.chat = _chat(learning, tokenizer, args)
        self._context = narrowed.views(context_of(args, context_config))
        self._rounds = self._rounds_of(train_dataset, args, learning)
        self._eval_rounds = (
            self._rounds_of(eval_dataset, args, learning) if eval_dataset is not None else None
        )
        own, readout = self._own_answers(args), Readout(learning)
        self.other = elsewhere.of(teacher, self.chat, readout, args) if teacher else None
        self.beginning = Beginning(learning, args, self._rounds, is_taught=teacher is not None)
        self._round: int | None = None
        self._told: set[str] = set()
        self._probe: Probe | None = None
        super().__init__(
            learning,
            args,
            readout=readout,
            loss=_loss(args, learning),
            train_dataset=_unmade(self._rounds, Places if own else Examples),
            eval_dataset=_unmade(self._eval_rounds) if self._eval_rounds else None,
            pad_id=self.chat.pad_id,
            weighting=args.loss_weighting,
            numerics=args.out / NUMERICS,
            note=self.reporter.note,
            processing_class=tokenizer,
            callbacks=callbacks,
            optimizers=optimizers,
        )
        self.add_callback(_NextRound(self))
        if own is not None:
            self.learn_from(own)

    def train(self, resume_from_checkpoint: Any = None, *given: Any, **more: Any) -> Any:
        """Train as `Trainer` does, from first weights that are fitted where that is possible."""
        resume = resume_from_checkpoint
        if resume is True:  # by transformers it is the newest, whole or not
            resume = checkpoints.newest(self.args.out, self.reporter.note)
            if resume is None:
                raise ConfigError(f"there is no checkpoint in {self.args.out} to go on from")
        elif resume and (why := checkpoints.damage(Path(str(resume)))) is not None:
            raise ConfigError(f"{resume} is no whole checkpoint: {why}")
        if self.beginning.is_asked and resume:
            self.beginning.go_on(Path(str(resume)).parent)
        elif self.beginning.is_asked:
            self._begin()
        return super().train(str(resume) if resume else None, *given, **more)

    def start_round(self, number: int) -> None:
        """Put fresh examples under the data loader, unless this round's are there already.

        On-policy rows are answered later (`get_batch_samples`); the teacher of them is live.
        """
        if self._own is not None:
            if not self.train_dataset.is_taught:
                begins = self._rounds.begins
                self.train_dataset.record = LiveTeacher(*self.taught_by, begins)
            return
        once = self.args.reuse_trajectories or self.args.trajectories_file
        if once or not self._rounds.has_open_rows:
            number = 0
        if number != self._round:
            self._fill(self.train_dataset, self._rounds, str(number))
            self._round = number

    def end_round(self, *, is_last: bool = False) -> None:
        """Refuse to go on from an epoch without any target; say at the end what was left out."""
        if self._own is not None:
            self._own.check()
            if is_last:
                self._own.say()

    def evaluation_loop(self, dataloader: Any, *arguments: Any, **more: Any) -> Any:
        """Measure on examples that are answered once, and stay the same all through training."""
        examples: Examples = dataloader.dataset
        if self._eval_rounds is not None and examples is self.eval_dataset and not examples.pairs:
            self._fill(examples, self._eval_rounds, "eval")
        return super().evaluation_loop(dataloader, *arguments, **more)

    @property
    def taught_by(self) -> tuple[nn.Module, Readout]:
        """The model that teaches, and what reads it."""
        if self.other is not None:
            return self.other.model, self.other.readout
        return self.model, self.readout

    @property
    def probe(self) -> Probe:
        """What fidelity is measured on; drawn once, so that before and after are comparable."""
        if self._probe is None:
            self._probe = self._drawn_probe()
        return self._probe

    def fidelity(self, *, without_adapter: bool = False) -> Fidelity:
        """Compare the student, as it stands or before any training, with the teacher."""
        probe = self.probe
        share = probe.pairs[self.args.process_index :: self.args.world_size]
        adapter = parent_only(self.model) if without_adapter else nullcontext()
        with evaluating(self.model), adapter, self.accelerator.autocast():
            found = totals(self.model, self.readout, probe.record, share, Divergence())
        kl, agreed, tokens = self._summed(found)
        return Fidelity(kl / tokens, agreed / tokens, round(tokens))

    def _drawn_probe(self) -> Probe:
        if self._eval_rounds is not None:
            examples: Examples = self.eval_dataset
            if not examples.pairs:
                self._fill(examples, self._eval_rounds, "eval")
        elif self._own is not None:
            chosen_rows = self._rounds.some(MOST_PROBED)
            examples = _unmade(chosen_rows)
            self._fill(examples, chosen_rows, "probe")
        else:
            if self._round is None:
                self.start_round(0)
            examples = self.train_dataset
        whole = [example for example in examples.examples if example]
        held_out, record = self._eval_rounds is not None, examples.record
        count = len(whole) if held_out else min(len(whole), MOST_PROBED)
        chosen = [whole[i * len(whole) // count] for i in range(count)]
        pairs = [pair for example in chosen for pair in example]
        if not held_out and isinstance(record, TeacherRecord):
            # The file of a training round is given back when the next one is drawn.
            share = pairs[self.args.process_index :: self.args.world_size]
            if record.form is Form.LIKELIEST:  # the whole was too much for the disk
                record = live(*self.taught_by, share)
            else:
                record = KeptTeacher(record, share)
        return Probe(pairs, record, count, held_out)

    def _begin(self) -> None:
        """Fit the first weights, to the answers of the first round."""
        why = self.beginning.impossible
        if why is None:
            self.start_round(0)
            with self.reporter.doing("fitting first weights"):
                why = self.beginning.fit(self.readout, self.train_dataset.pairs)
            why = self.worker.of_first(why)
        self.beginning.begin(why, self.reporter)

    def _rounds_of(self, dataset: Any, args: BakeryConfig, model: PeftModel) -> Rounds:
        if isinstance(dataset, Rounds):
            return dataset
        rows = rows_of(dataset, note=self.reporter.note)
        return narrowed.rounds(rows, self.chat, self._context, args, model.config, self.reporter)

    def _own_answers(self, args: BakeryConfig) -> KeptAnswers | None:
        """Return who answers on-policy rows; None where the teacher answers."""
        if not args.on_policy:
            return None
        on_policy.check(len(self._rounds.open_rows))
        for note in on_policy.notes(self._rounds, args.loss_type):
            self.reporter.note(note)
        return KeptAnswers(self._rounds, kept=args.out / TRAJECTORIES)

    def _fill(self, examples: Examples, rounds: Rounds, name: str) -> None:
        """Have the teacher answer a round and score it; every process does its share."""
        folder = self.args.out
        kept = f"eval_{TRAJECTORIES}" if name == "eval" else TRAJECTORIES
        given = self.args.trajectories_file if name == "0" else None
        answers = len(rounds.open_rows) * rounds.settings.num_traj_per_stimulus
        teacher, readout = self.taught_by
        fits = Captured.fits(readout, answers, rounds.settings)
        asked = Asked(Prefixes(), Captured(readout) if fits else None)
        # As in the steps to come: accelerate puts mixed precision around the model only there.
        with teaching(teacher), self.accelerator.autocast():
            drawn = rounds.examples(
                teacher,
                name,
                asked=asked,
                worker=self.worker,
                given=Path(given) if given else None,
                kept=folder / kept,
            )
        examples.replace(drawn)
        self._teach(examples, folder / ".teacher", name, asked)

    def _teach(self, examples: Examples, folder: Path, name: str, asked: Asked) -> None:
        """Have the teacher score examples; the record's files are nameless once they are open."""
        place = Place(folder / name / "teacher.safetensors", self.args.teacher_record_gb)
        self.worker.wait()  # a former round has given its space back before the first one looks
        if self.worker.rank == 0:  # what a killed run left was made by other weights, maybe
            shutil.rmtree(folder, ignore_errors=True)
        examples.record, why = taught(
            *self.taught_by, examples.pairs, self.loss, place,
            is_measured_on=name in ("eval", "probe"),
            worker=self.worker, asked=asked, reporter=self.reporter,
        )  # fmt: skip
        if why:
            self._tell_once(name, why)
        self.worker.wait()
        if self.worker.rank == 0:
            shutil.rmtree(folder, ignore_errors=True)

    def _tell_once(self, name: str, why: str) -> None:
        """Announce that the teacher is live for training or evaluation rows, in the first round."""
        rows = "evaluation" if name == "eval" else "training"
        if rows not in self._told:
            self._told.add(rows)
            self.reporter.note(f"{rows} rows: {why} (teacher_record_gb is the limit)")


@dataclass(frozen=True, slots=True)
class Probe:
    """Pairs of `rows` rows with their record; training rows where there are no others."""

    pairs: Sequence[Pair]
    record: Features
    rows: int
    held_out: bool


class PromptBakingTrainer(ContextBakingTrainer):
    """The former name of ContextBakingTrainer."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        warnings.warn(
            "PromptBakingTrainer is now called ContextBakingTrainer",
            DeprecationWarning,
            stacklevel=2,
        )
        super().__init__(*arguments, **more)


class _NextRound(TrainerCallback):
    """Starts the round of each epoch, before its first batch is drawn."""

    def __init__(self, trainer: ContextBakingTrainer) -> None:
        self._trainer = trainer

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """A resumed epoch gets the round it had."""
        self._trainer.start_round(int((state.epoch or 0) + 1e-6))

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """An epoch that taught nothing is the last one."""
        self._trainer.end_round()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """What was left out of any step is told once."""
        self._trainer.end_round(is_last=True)


def _unmade(rounds: Rounds, kind: type[Examples] = Examples) -> Examples:
    """Return the examples of rounds that are not drawn yet."""
    return kind([()] * len(rounds))


def _chat(student: PeftModel, tokenizer: PreTrainedTokenizerBase, args: BakeryConfig) -> Chat:
    """Return how the student's base renders chats."""
    base = student.get_base_model()
    loaded.check_tokens(base.name_or_path, tokenizer, embedded(base))
    named = end_ids(base, tokenizer.eos_token_id)
    return Chat(tokenizer, named, template_kwargs=args.template_kwargs, rows=embedded(base))


def _loss(args: BakeryConfig, student: PeftModel) -> Loss:
    k = min(args.loss_top_k, student.config.get_text_config().vocab_size)
    return make_loss(args.loss_type, temperature=args.temperature, beta=args.jsd_beta, k=k)


def _refuse_unused(collator: Any, compute_metrics: Any) -> None:
    if collator not in (None, prompt_baking_collator):
        raise ConfigError(
            "ContextBakingTrainer pairs teacher and student views itself",
            hint="Leave data_collator out, or pass prompt_baking_collator.",
        )
    if compute_metrics is not None:
        raise ConfigError(
            "compute_metrics would never be called: evaluation compares distributions",
            hint="eval_loss and eval_top1_agreement are measured already.",
        )
