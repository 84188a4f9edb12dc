"""Settings in, a baked adapter out: what the `bakery` command does between its two printouts.

Every process runs all of it; only the first one writes and tells. What can be refused without
the model is refused before (`material`).
"""

from __future__ import annotations

import gc
import json
import shutil
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import torch.distributed as dist
from peft import PeftModel
from transformers import PreTrainedConfig, PreTrainedModel, PrinterCallback, ProgressCallback
from transformers.utils import logging as hf_logging

from bakery.card import Card, Fidelity
from bakery.distil import answers, baked, elsewhere, folder, loading, model_card, refusals
from bakery.distil.folder import MERGED
from bakery.distil.keywords import Questions
from bakery.distil.material import Material
from bakery.distil.settings import narrowed, settled
from bakery.distil.settings.parse import Settings
from bakery.distil.trainer import ContextBakingTrainer
from bakery.engine.models import loaded, merged, versions
from bakery.engine.models.models import Source
from bakery.engine.text.chat import CLOCK_STOPPED, Chat
from bakery.engine.training import metrics, needs
from bakery.engine.training.rounds import Rounds
from bakery.engine.training.trainer import worker_of
from bakery.errors import ConfigError, StageError
from bakery.records import Message, Prompt, write_atomic
from bakery.reporting import Reporter
from bakery.settings.config import ContextConfig
from bakery.store import output_dir
from bakery.store.output_dir import FINAL, RESULTS
from bakery.store.results import METRICS
from bakery.torchrun import environment


def run(settings: Settings, material: Material, *, reporter: Reporter) -> dict[str, Any]:
    """Bake, leave everything in output_dir, and return what results.json says."""
    training = settings.training
    group = dist.group.WORLD if training.world_size > 1 else None
    with nullcontext() if training.process_index else output_dir.held(training.out):
        result = _run(settings, material, reporter)
    if group is not None:
        # The trainer lies in a cycle, and keeps the group's threads. One that still lets go of a
        # tensor while Python ends aborts the process. `group` has to be the last reference: only
        # its end waits for the threads without the lock that they may need.
        gc.collect()
    return result


FURTHER = "the bake is further from the prompted teacher than before: lower learning_rate"


def _run(settings: Settings, material: Material, reporter: Reporter) -> dict[str, Any]:
    clock = time.monotonic()
    training = settings.training
    out, first = training.out, training.process_index == 0
    told = _Told(reporter, list(settings.notes))
    for note in material.notes:
        told.note(note)
    _tune(settings, told)
    source, chat = _opened(settings, told)
    learns, speaks = elsewhere.learns(settings.data), None
    if settings.data.student_model_path is not None:
        speaks, source = source, elsewhere.find(settings.data, training, chat, told)
        chat = source.chat(training.template_kwargs)
    rounds = _rounds(material, settings, chat, source.config(), told)
    sized = settled.lora(settings.lora, settled.base_of(source.config()), training)
    with told.doing("loading"):
        model = loading.load(source, learns, training)
        teacher = loading.load(speaks, settings.data, training) if speaks else None
    questions = Questions(
        chat, material.questions, settings.context.prefix, settings.context.left,
        max_tokens=settings.data.eval_max_new_tokens, worker=worker_of(training),
    )  # fmt: skip
    scores = questions.before(teacher or model, told)
    student = loading.with_adapter(model, settings.lora, source, learns, training)
    if training.merge:
        merged.check(student)
    with training.main_process_first(local=False):  # the others read what is in place then
        if first:
            folder.begin(settings, data=material.digest, resume=material.resume, reporter=told)
    trainer = _trainer(settings, rounds, student, told, material.digest, teacher)
    if values := sized | trainer.beginning.settled:
        told.note(settled.sentence(values))
    _check_difference(trainer)
    with told.doing("measuring before"):
        before = trainer.fidelity(without_adapter=True)
    saved = fmean(len(p.teacher.ids) - len(p.student.ids) for p in trainer.probe.pairs)
    seen = _train(trainer, material)
    with told.doing("measuring after"):
        after = trainer.fidelity()
    if after.kl > before.kl:
        told.note(FURTHER)
    scores |= questions.after(student, told)
    measured = before, after, saved
    result = _came_to(settings, material, trainer, source, measured, told)
    result |= {**scores, "loss": metrics.summary(seen)}
    if speaks is not None:
        result["teacher"] = {"base": {"name": speaks.name}, "model": None}
    _save(trainer, student, chat.tokenizer, out)
    result |= {"seconds": round(time.monotonic() - clock, 2), "notes": told.notes}
    if first:
        _leave(out, source, settings.context.prefix, result)
    trainer.end()
    return result


def _came_to(
    settings: Settings,
    material: Material,
    trainer: ContextBakingTrainer,
    source: Source,
    measured: tuple[Fidelity, Fidelity, float],
    told: _Told,
) -> dict[str, Any]:
    """Return what results.json says of the bake: its card first of all.

    `measured` is how near it was and is, and how many tokens of prompt it saves.
    """
    before, after, saved = measured
    probe, rows = trainer.probe, (material.rows, material.eval_rows or ())
    held_out = probe.held_out and not material.shared
    if material.shared:
        told.note(f"{material.shared} evaluation rows are training rows too: nothing is held out")
    card = Card.made(before, after, probe.rows if held_out else 0, saved)
    result: dict[str, Any] = {}
    if not settings.training.process_index:
        card = answers.judged(card, trainer, source, settings, *rows, reporter=told)
        result = {"baked": baked.recorded(settings.training.out, settings, *rows)}
    return {
        "schema": 1,
        **_prompt_tokens(trainer.chat, settings.context, saved),
        "card": card.as_data(),
        "measured_on": {"rows": probe.rows, "held_out": held_out},
        "steps": trainer.state.global_step,
        "rows": len(trainer.train_dataset),
        **source.names(),
        "numerics": trainer.numerics.as_data() if trainer.numerics else {},
        "versions": versions.versions(source.unpacked),
        **result,
    }


def _opened(settings: Settings, told: _Told) -> tuple[Source, Chat]:
    """Return where the model lies, and how it renders chats; no weight is read."""
    for note in needs.other_attention(settings.data.attn_implementation, "attn_implementation"):
        told.note(note)
    source = loading.find(settings.data, reporter=told)
    chat = source.chat(settings.training.template_kwargs)
    if chat.reads_clock:
        told.note(CLOCK_STOPPED)
    if (unnamed := loaded.unnamed_end(chat)) is not None:
        told.note(unnamed)
    return source, chat


def _save(trainer: ContextBakingTrainer, student: PeftModel, tokenizer: Any, out: Path) -> None:
    """Write the adapter, and the whole model where it is asked for, in place of former ones."""
    first = trainer.args.process_index == 0
    if first:
        shutil.rmtree(out / FINAL, ignore_errors=True)
    trainer.save_model(str(out / FINAL))
    if trainer.args.merge and first:
        shutil.rmtree(out / MERGED, ignore_errors=True)
        merged.write(student, tokenizer, out / MERGED)


def _leave(
    out: Path, source: Source, prefix: tuple[Message, ...] | None, result: Mapping[str, Any]
) -> None:
    """Write down what the run came to, for people beside the adapter and for programs."""
    model_card.write(out / FINAL, source, prefix, result)
    write_atomic(out / RESULTS, json.dumps(result, indent=2, ensure_ascii=False) + "\n")


def _rounds(
    material: Material,
    settings: Settings,
    chat: Chat,
    config: PreTrainedConfig,
    reporter: Reporter,
) -> tuple[Rounds, Rounds | None]:
    """Return what training and evaluation draw from; made before a weight is loaded.

    Data that leaves nothing to train on is refused here.
    """
    more = chat, narrowed.views(settings.context), settings.training, config, reporter
    learnt, held_out = narrowed.rounds(material.rows, *more), material.eval_rows
    return learnt, narrowed.rounds(held_out, *more) if held_out is not None else None


class _Told:
    """Passes everything on, and keeps the notes for results.json."""

    def __init__(self, reporter: Reporter, notes: list[str]) -> None:
        self._reporter, self.notes = reporter, notes
        self.doing = reporter.doing
        self._bake: tuple[int, int] | None = None  # where training stands, while it runs
        self._is_within = False  # a round is under way in it, whose answers are no steps

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        """Show how far a step is; what a round does while training runs is a detail of that."""
        if label == "bake":
            self._bake, self._is_within = ((done, total) if done < total else None), False
        elif self._bake is not None:
            self._is_within = done < total
            self._reporter.progress("bake", *self._bake, f"{label} {done}/{total}")
            return
        self._reporter.progress(label, done, total, detail)

    def partly(self, done: float, of: int) -> None:
        """Show how far the next units of a step are."""
        if not self._is_within:
            self._reporter.partly(done, of)

    def note(self, text: str) -> None:
        """Show a note, and keep it."""
        self.notes.append(text)
        self._reporter.note(text)


def _check_difference(trainer: ContextBakingTrainer) -> None:
    if all(pair.is_identical for pair in trainer.probe.pairs):
        raise StageError(
            "teacher and student see the same, so there is nothing to bake",
            hint="Lower student_retained_turns, or see what --dry-run shows.",
        )


def _tune(settings: Settings, reporter: Reporter) -> None:
    """Log every step and show no other bars than ours, unless the user says otherwise."""
    ours = {
        "disable_tqdm": True,
        "logging_steps": 1,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,  # a loss that is no number has to be seen
        "log_level": "error",
        "log_level_replica": "error",
    }
    for name, value in ours.items():
        if name not in settings.given:
            setattr(settings.training, name, value)
    if "log_level" not in settings.given:
        hf_logging.set_verbosity_error()
    if asked := environment.said():
        reporter.note(f"the environment asks transformers for {', '.join(asked)}")
    if settings.training.in_parts:
        reporter.note("fsdp and deepspeed are handed to transformers; bakery is not tested there")


def _trainer(
    settings: Settings,
    rounds: tuple[Rounds, Rounds | None],
    student: PeftModel,
    reporter: Reporter,
    digest_of_data: str,
    teacher: PreTrainedModel | None,
) -> ContextBakingTrainer:
    def begins(*_: int) -> None:
        """Keep the configuration with all that was settled: first weights are fitted by now."""
        folder.keep(settings, data=digest_of_data)

    rows = metrics.Metrics(settings.training.out / METRICS, reporter, begins=begins)
    with refusals.told():
        made = ContextBakingTrainer(
            model=student,
            args=settings.training,
            context_config=settings.context,
            train_dataset=rounds[0],
            eval_dataset=rounds[1],
            processing_class=rounds[0].chat.tokenizer,
            callbacks=[rows],
            teacher=teacher,
            reporter=reporter,
        )
    made.remove_callback(PrinterCallback)
    if settings.training.process_index:
        made.remove_callback(ProgressCallback)
    return made


def _train(trainer: ContextBakingTrainer, material: Material) -> list[float]:
    """Train, and return the losses; training that did nothing, or broke, is an error."""
    try:
        with refusals.told():
            trainer.train(resume_from_checkpoint=material.resume)
    except torch.OutOfMemoryError as error:
        raise StageError(
            f"the device has too little memory: {str(error).splitlines()[0]}",
            hint="Lower per_device_train_batch_size and raise gradient_accumulation_steps, turn "
            "gradient_checkpointing on, or set max_seq_length.",
        ) from error
    seen = [float(row["loss"]) for row in trainer.state.log_history if "loss" in row]
    if not seen:
        raise StageError(
            "nothing was trained: there was no step", hint="Raise num_train_epochs or max_steps."
        )
    return seen


def _prompt_tokens(chat: Chat, context: ContextConfig, saved: float) -> dict[str, int]:
    """Return what the context takes in front of a question, and what of it stays."""
    if not context.prefix:
        return {"prompt_tokens": round(saved), "prompt_tokens_left": 0}
    question: list[Message] = [{"role": "user", "content": "?"}]
    try:
        alone, whole, left = (
            len(chat.prefix_ids(Prompt(messages), question))
            for messages in ((), context.prefix, context.left)
        )
    except ConfigError:  # a template that takes no such question: the rows' own mean then
        return {"prompt_tokens": round(saved), "prompt_tokens_left": 0}
    return {"prompt_tokens": whole - alone, "prompt_tokens_left": left - alone}
