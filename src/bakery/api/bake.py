"""`bakery.bake`: a prompt and questions in, a baked adapter out, in one call."""

from __future__ import annotations

import copy
import dataclasses
import html
import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.api import asked, saved
from bakery.api import settings as flat
from bakery.api.asked import Asked
from bakery.api.model import Comparison, Model, table, text_of
from bakery.api.told import told
from bakery.app import chat, gates, meaning, run
from bakery.app.opening import Models
from bakery.app.workbench import Alone
from bakery.card import Card
from bakery.errors import ConfigError, GateError, ModelError, StageError
from bakery.identity import BaseModelId
from bakery.records import Message
from bakery.repo.plan.planned import Head, Plan
from bakery.reporting import Quiet
from bakery.store import results, user
from bakery.store.store import Store
from bakery.verdict import Verdict

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from bakery.app.launching import InGguf
    from bakery.app.testing import Results
    from bakery.engine.models.models import BaseModel


def bake(
    model: str | Path | PreTrainedModel,
    prompt: str | Path | Sequence[Message],
    questions: Sequence[str] | str | Path | int = 100,
    *,
    out: str | Path | None = None,
    parent: Bake | str | Path | None = None,
    tokenizer: PreTrainedTokenizerBase | None = None,
    name: str = "bake",
    allow: Collection[str] = (),
    progress: bool = True,
    **settings: Any,
) -> Bake:
    """Bake a prompt into a model: train an adapter that answers as if the prompt were there.

    model      a hub id, a folder, a .gguf file, "tiny", or a loaded PreTrainedModel (with its
               `tokenizer`): its weights are read, and nothing in it changes
    prompt     a text, taken as the system message, the Path of a file that holds it, or a list
               of messages
    questions  what it is asked while it learns: a list of texts, a data file (.jsonl, .csv,
               .txt, ...), or how many the model should write itself
    out        a new folder for the adapter; it stays in your cache in any case
    parent     an earlier bake to continue from: a Bake, or its folder
    name       what it is called; not part of the result
    allow      stops to go on at: "questions", "teacher" (see `bgit run --allow`)
    progress   False: nothing is shown; notes are in `Bake.notes`
    settings   epochs, learning_rate, r, max_tokens, seed, ...: the keys of input.yml, flat;
               what you leave out goes by the model (docs/defaults.md)

    Some questions are held out, and the card is measured on them. What was asked, answered and
    trained is kept by what it was made of: the same call again returns at once, and an
    interrupted one resumes where it stopped. Raises ConfigError for settings that are wrong, before
    anything is loaded, and GateError where baking would be pointless.

        prompt = "You are Yoda. Answer as he talks, in reversed word order."
        bake = bakery.bake("tiny", prompt)
        print(bake.card.gap_closed, bake.chat("Who are you?"))
    """
    gates.check_names(allow)
    target = None if out is None else asked.path(out, "out")
    root, generators = asked.questions(questions)
    prompts = {"teacher": {"messages": list(asked.to_bake(prompt).messages)}}
    given = None if isinstance(model, str | Path) else _given(model, tokenizer)
    if given is None and tokenizer is not None:
        raise ConfigError("`tokenizer` goes with a loaded model: a name brings its own")
    base = given.id if given is not None else run.base_model(str(model))
    older = None if parent is None else _older(parent, base)
    bench = Alone(_store(), root, older.folder if older else None)
    head = Head(
        saved.OWNER, saved.REPO, base, older.ref if older else None, rank=older.rank if older else 0
    )
    chosen, read = _as_loaded(settings, given), bench.reader("worktree")
    plan = flat.planned(head, prompts, generators, name, chosen, read=read)
    assert plan.bake is not None  # one was asked for
    if target is not None:
        saved.check_free(target, plan.bake.id)
    found = _made(plan, bench, given, allow=allow, progress=progress)
    if target is not None:
        found.save(target)
    return found


_ONE_AT_A_TIME = threading.Lock()
"""Seeds, threads and the loading of models are the whole process's."""


def _made(
    plan: Plan, bench: Alone, given: BaseModel | None, *, allow: Collection[str], progress: bool
) -> Bake:
    assert plan.bake is not None  # one was asked for
    with _ONE_AT_A_TIME, told(progress) as reporter:
        head = plan.head
        models = Models(bench, head.base, head.parent, reporter, loaded=_twin(given))
        try:
            run.make(bench, plan, allow=allow, models=models, reporter=reporter)
        except GateError as stopped:
            raise asked.stop(stopped) from None
    is_student = plan.bake.teacher is not None  # it lies on a base that nobody gave
    return Bake(bench.store.bake(plan.bake.id), None if is_student else given)


class Bake:
    """What `bakery.bake` made: its card, its adapter, and the model to talk to."""

    def __init__(self, folder: Path, given: BaseModel | None = None) -> None:
        """`folder` is that of the bake in a store; `given` its base, where that is loaded."""
        self._folder, self._given = folder, given
        self._result: dict[str, Any] = results.whole(folder / results.RESULT)
        self._speaking: Model | None = None

    @property
    def id(self) -> str:
        """The 16 hex digits that name what it was made from."""
        return str(self._result["bake_id"])

    @property
    def card(self) -> Card:
        """How close it is to its prompted parent, on questions it never trained on."""
        return Card.from_data(self._result["card"])

    @property
    def verdict(self) -> Verdict | None:
        """Whether it holds: a word, and its reason; None where nothing was asked."""
        return self.card.verdict

    @property
    def adapter(self) -> Path:
        """The folder of its adapter, as PEFT loads it."""
        return self._folder / str(self._result["step"])

    @property
    def notes(self) -> list[str]:
        """What a person should know about how it was made, warnings included."""
        return list(self._result["notes"])

    @property
    def result(self) -> Mapping[str, Any]:
        """All that is recorded about it: bake.json."""
        return self._result

    @property
    def speaking(self) -> Model:
        """The model as it answers, loaded when it is first asked for."""
        if self._speaking is None:
            base = BaseModelId(**self._result["base"])
            meant = meaning.Meant(f"bake_{self.id}", base, self.adapter)
            opened = chat.opened(meant, loaded=_twin(self._given), reporter=Quiet())
            self._speaking = Model(opened, taught=meaning.taught(meant))
        return self._speaking

    @property
    def model(self) -> PeftModel:
        """The PEFT model, with the adapter, ready to use."""
        return self.speaking.model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The base's tokenizer."""
        return self.speaking.tokenizer

    def chat(self, asked: Asked, **how: Any) -> str:
        """Answer a question, or messages that end with one, without the prompt.

        `how` is what `Model.chat` takes: max_tokens, temperature, top_p, seed, prompt.
        """
        return self.speaking.chat(asked, **how)

    def compare(self, questions: Sequence[Asked], **how: Any) -> Comparison:
        """Have questions answered by the base, the prompted parent and the bake, side by side."""
        return self.speaking.compare(questions, **how)

    def test(self, file: str | Path) -> Results:
        """Check its answers by a file of tests (docs/tests.md), beside the prompted parent's.

        `passed` of what it returns is False where it fails a check that the prompted one passes.
        """
        from bakery.app import test

        base = BaseModelId(**self._result["base"])
        meant = meaning.Meant(f"bake_{self.id}", base, self.adapter)
        tests = test.of_file(asked.path(file, "file"))
        return test.of_model(None, meant, tests, loaded=_twin(self._given), reporter=Quiet())

    def save(self, folder: str | Path) -> Path:
        """Write adapter, figures and card into a new folder, which `bakery.load` and PEFT read."""
        target = asked.path(folder, "the folder")
        if not saved.is_there(target, self.id):
            saved.save(self._folder, self.adapter, target)
        return target

    def export(self, folder: str | Path, *, merged: bool = False, dtype: str = "auto") -> InGguf:
        """Write it as GGUF, for llama.cpp, Ollama and LM Studio, into a new folder.

        Its adapter as a LoRA, or the `merged` whole. `dtype` is f32, f16, bf16 or q8_0; auto: an
        adapter in f32, a whole model as its base is stored. What was written is read back and
        compared: `verified` of what is returned says how near it came, and a file that is not the
        same model is not kept. Needs the package gguf.
        """
        from bakery.app import as_gguf, export_place

        target = asked.path(folder, "the folder")
        as_gguf.check(dtype, is_lora=not merged)
        export_place.check_free(target, "gguf", force=False)
        loaded = None if self._given is None else _copied(self._given)
        write = as_gguf.whole if merged else as_gguf.lora
        with export_place.draft(target) as draft:
            made = draft / "made"
            made.mkdir()
            found = write(
                BaseModelId(**self._result["base"]), self.adapter, made, dtype=dtype,
                name=f"bake_{self.id}", loaded=loaded, reporter=Quiet(),
            )  # fmt: skip
            export_place.move(made, target)
        return found

    def __repr__(self) -> str:
        base = self._result["base"]["name"]
        figures = ", ".join(f"{name} {value}" for name, value in _figures(self.card))
        found = self.card.verdict
        why = f"\n{found.word}: {found.reason}" if found is not None else ""
        return f"bakery.Bake({self.id}, on {base}: {figures}){why}"

    def _repr_html_(self) -> str:
        prompt = self._result["targets"][0]["teacher"]["messages"]
        rows = [
            ["prompt", text_of(prompt) if prompt else ""],
            ["base", self._result["base"]["name"]],
            *([name, value] for name, value in _figures(self.card)),
        ]
        why = self.card.verdict
        said = [*([why.reason] if why is not None else []), *self.notes]
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in said)
        return table(["bake", self.id], iter(rows)) + (f"<ul>{notes}</ul>" if notes else "")


def _figures(card: Card) -> Iterator[tuple[str, str]]:
    """Yield what a card says, as far as it says anything."""
    if card.verdict is not None:
        yield "verdict", card.verdict.word
    if card.gap_closed is not None:
        yield "gap closed", f"{100 * card.gap_closed:.1f} %"
    if card.kl_before is not None and card.kl_after is not None:
        yield "KL", f"{card.kl_before:.3g} to {card.kl_after:.3g} nats"
    if card.top1_agreement is not None:
        yield "same first choice", f"{100 * card.top1_agreement:.1f} %"
    yield "held out", f"{card.held_out} question{'s' * (card.held_out != 1)}"
    saved = "not known" if card.cut_prompt else f"{card.prompt_tokens_saved:.0f} tokens a request"
    yield "saved", saved


def _older(parent: Any, base: BaseModelId) -> saved.Older:
    """Return the bake to go on from, or say why it does not fit this base."""
    if isinstance(parent, Bake):
        return saved.older(parent.adapter, base)
    if not isinstance(parent, str | Path):
        raise ConfigError(f"parent is a Bake, or the folder of one, not {parent!r:.80}")
    return saved.older(asked.path(parent, "parent").absolute(), base)


def _given(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> BaseModel:
    """Return a loaded model as a base, with its own tokenizer where none is given."""
    from peft import PeftModel
    from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

    from bakery.engine.models import given

    if isinstance(model, PeftModel):
        raise ModelError(
            "a PEFT model already carries an adapter",
            hint="Give its base as `model`, and the bake to go on from as `parent`.",
        )
    if tokenizer is not None and not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise ConfigError(f"tokenizer is a {type(tokenizer).__name__}: give a tokenizer's object")
    if not isinstance(model, PreTrainedModel):
        raise ConfigError(
            f"model is a {type(model).__name__}: give a name, a folder, or a PreTrainedModel"
        )
    if tokenizer is None:
        try:
            tokenizer = AutoTokenizer.from_pretrained(
                model.name_or_path, local_files_only=True, trust_remote_code=False
            )
        except (OSError, ValueError) as error:
            raise ConfigError(
                "a loaded model needs its tokenizer", hint="Give tokenizer=AutoTokenizer(...)."
            ) from error
    return given.base_of(model, tokenizer)


def _as_loaded(settings: Mapping[str, Any], given: BaseModel | None) -> Mapping[str, Any]:
    """Return the settings with the dtype that a loaded model has: it is used as it is."""
    if given is None:
        return settings
    has = {"bfloat16": "bf16", "float16": "fp16", "float32": "fp32"}
    own = has.get(str(given.model.dtype).removeprefix("torch."))
    if settings.get("dtype") not in (None, own):
        raise ConfigError(
            f"dtype={settings['dtype']}, but the model is loaded as {given.model.dtype}",
            hint="Load it in the dtype to bake in, or give its name.",
        )
    return {**settings, "dtype": own}


def _store() -> Store:
    """Return where bakes lie that no repository has: in this user's cache."""
    try:
        root = user.cache() / "bakes"
        root.mkdir(parents=True, exist_ok=True)
        if not os.access(root, os.W_OK):
            raise OSError("it cannot be written to")
    except (OSError, RuntimeError, ValueError) as error:
        raise StageError(
            f"the cache cannot be used: {error}", hint="BAKERY_CACHE names another folder."
        ) from error
    return Store(root)


def _twin(given: BaseModel | None) -> BaseModel | None:
    """Return a loaded base to put an adapter on, which leaves the given model as it is."""
    if given is None:
        return None
    from bakery.engine.models.given import twin

    return twin(given)


def _copied(given: BaseModel) -> BaseModel:
    """Return a loaded base in float32 that an adapter may be added to for good."""
    return dataclasses.replace(given, model=copy.deepcopy(given.model).float())
