"""`bakery.bake`: a prompt and questions in, a baked adapter out, in one call."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.api import settings as flat
from bakery.api.model import Asked, Comparison, Model, prompt_of, table, text_of
from bakery.app import chat, run
from bakery.app.opening import Models
from bakery.app.workbench import Alone
from bakery.card import Card
from bakery.errors import ConfigError, ModelError
from bakery.identity import BaseModelId
from bakery.records import Message, ModelRef
from bakery.repo.plan.planned import Head, Plan
from bakery.reporting import Quiet, Reporter
from bakery.schema.data_sets import FILE_KINDS
from bakery.store import results, user
from bakery.store.store import Store

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from bakery.engine.models.models import BaseModel

OWNER, REPO = "python", "bakes"
"""What a bake that no repository has is called by, in front of its own name."""

_SAVED = (results.RESULT, results.METRICS)


def bake(
    model: str | Path | PreTrainedModel,
    prompt: str | Sequence[Message],
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
    prompt     a text, taken as the system message, or a list of messages
    questions  what it is asked while it learns: a list of texts, a data file (.jsonl, .csv,
               .txt, ...), or how many the model should write itself
    out        a folder for the adapter; it stays in your cache in any case
    parent     an earlier bake to continue from: a Bake, or its folder
    allow      stops to go on at: "questions", "teacher" (see `bgit run --allow`)
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
    given = None if isinstance(model, str | Path) else _given(model, tokenizer)
    if given is None and tokenizer is not None:
        raise ConfigError("`tokenizer` goes with a loaded model: a name brings its own")
    base = given.id if given is not None else run.base_model(str(model))
    older = None if parent is None else _parent(parent, base)
    root, generators = _questions(questions)
    bench = Alone(_store(), root, older.folder if older else None)
    head = Head(OWNER, REPO, base, older.ref if older else None)
    prompts = {"teacher": {"messages": list(prompt_of(prompt).messages)}}
    plan = flat.planned(
        head, prompts, generators, name, _as_loaded(settings, given), read=bench.reader("worktree")
    )
    target = None if out is None else _free(Path(out).expanduser(), plan)
    with _shown(progress) as reporter:
        models = Models(bench, base, head.parent, reporter, loaded=_twin(given))
        run.make(bench, plan, allow=allow, models=models, reporter=reporter)
    assert plan.bake is not None  # one was asked for
    found = Bake(bench.store.bake(plan.bake.id), given)
    if target is not None:
        found.save(target)
    return found


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
            meant = chat.Meant(f"bake_{self.id}", base, self.adapter)
            opened = chat.opened(meant, loaded=_twin(self._given), reporter=Quiet())
            self._speaking = Model(opened, taught=chat.taught(meant))
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

    def save(self, folder: str | Path) -> Path:
        """Write adapter, figures and card into a new folder, which `bakery.load` and PEFT read."""
        target = Path(folder).expanduser()
        if _is_there(target, self.id):
            return target
        draft = target.with_name(f".{target.name}.tmp")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(self.adapter, draft)
        for file in _SAVED:
            shutil.copy2(self._folder / file, draft / file)
        if target.is_dir():
            target.rmdir()  # empty, or it would have been refused
        draft.rename(target)
        return target

    def __repr__(self) -> str:
        base = self._result["base"]["name"]
        figures = ", ".join(f"{name} {value}" for name, value in _figures(self.card))
        return f"bakery.Bake({self.id}, on {base}: {figures})"

    def _repr_html_(self) -> str:
        prompt = self._result["targets"][0]["teacher"]["messages"]
        rows = [
            ["prompt", text_of(prompt) if prompt else ""],
            ["base", self._result["base"]["name"]],
            *([name, value] for name, value in _figures(self.card)),
        ]
        notes = "".join(f"<li>{html.escape(note)}</li>" for note in self.notes)
        return table(["bake", self.id], iter(rows)) + (f"<ul>{notes}</ul>" if notes else "")


def _figures(card: Card) -> Iterator[tuple[str, str]]:
    """Yield what a card says, as far as it says anything."""
    if card.gap_closed is not None:
        yield "gap closed", f"{100 * card.gap_closed:.1f} %"
    if card.kl_before is not None and card.kl_after is not None:
        yield "KL", f"{card.kl_before:.3g} to {card.kl_after:.3g} nats"
    if card.top1_agreement is not None:
        yield "same first choice", f"{100 * card.top1_agreement:.1f} %"
    yield "held out", f"{card.held_out} questions"
    yield "saved", f"{card.prompt_tokens_saved:.0f} tokens a request"


@dataclass(frozen=True, slots=True)
class _Older:
    """The bake that another one goes on from."""

    ref: ModelRef
    folder: Path


def _parent(parent: Bake | str | Path, base: BaseModelId) -> _Older:
    """Return the bake to go on from, or say why it does not fit this base."""
    from bakery.engine.models import adapter_folder

    folder = parent.adapter if isinstance(parent, Bake) else Path(parent).expanduser().resolve()
    if (folder / results.RESULT).is_file() and not (folder / adapter_folder.WEIGHTS).is_file():
        folder = Bake(folder).adapter
    if not (folder / adapter_folder.SLICES).is_file():
        raise ModelError(
            f"{folder} is not the folder of a bake: it has no {adapter_folder.SLICES}",
            hint="Give a Bake, its `adapter`, or a folder that `save` or `bgit download` wrote.",
        )
    records = [place / results.RESULT for place in (folder, folder.parent)]
    result = next((json.loads(r.read_text("utf-8")) for r in records if r.is_file()), None)
    if result is not None and result["base"]["digest"] != base.digest:
        raise ModelError(
            f"{folder} was baked on {result['base']['name']}, which is not {base.name}",
            hint="A bake fits only the base it was made on.",
        )
    bake_id = adapter_folder.slices(folder)[-1].bake_id
    step = int(result["step"]) if result is not None else 0
    return _Older(ModelRef(OWNER, REPO, f"bake_{bake_id}", step), folder)


def _questions(asked: Sequence[str] | str | Path | int) -> tuple[Path, list[dict[str, Any]]]:
    """Return the folder that files are seen from, and what writes the questions."""
    if isinstance(asked, bool) or asked is None:
        raise ConfigError("questions is a list of texts, a data file, or how many to write")
    if isinstance(asked, int):
        if asked < 1:
            raise ConfigError(f"questions={asked}: at least one is needed")
        return Path.cwd(), [{"type": "oneshot_qs", "numq": asked}]
    if isinstance(asked, str | Path):
        path = Path(asked).expanduser().resolve()
        if not path.is_file():
            raise ConfigError(
                f"questions: there is no file {asked}",
                hint=f"Give a data file ({', '.join(FILE_KINDS)}), a list, or a number.",
            )
        return path.parent, [{"type": "from_dataset", "dataset": f"./{path.name}"}]
    texts = list(asked)
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise ConfigError(
            "questions must be a list of at least one text",
            hint="Each is one user message: ['Who are you?', 'When do you open?'].",
        )
    return Path.cwd(), [{"type": "hardcoded", "questions": list(dict.fromkeys(texts))}]


def _given(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase | None) -> BaseModel:
    """Return a loaded model as a base, with its own tokenizer where none is given."""
    from peft import PeftModel
    from transformers import AutoTokenizer, PreTrainedModel

    from bakery.engine.models import given

    if isinstance(model, PeftModel):
        raise ModelError(
            "a PEFT model already carries an adapter",
            hint="Give its base as `model`, and the bake to go on from as `parent`.",
        )
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
    return Store(user.cache() / "bakes")


def _free(folder: Path, plan: Plan) -> Path:
    """Refuse a folder that holds anything but this very bake, before anything is made."""
    assert plan.bake is not None  # one was asked for
    _is_there(folder, plan.bake.id)
    return folder


def _is_there(folder: Path, bake_id: str) -> bool:
    """Tell whether a folder has a bake; refuse one that has anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    try:
        found = json.loads((folder / results.RESULT).read_text("utf-8"))["bake_id"]
    except (OSError, ValueError, KeyError, TypeError):
        found = None
    if found != bake_id:
        holds = f"the bake {found}" if found else "something else"
        raise ConfigError(
            f"{folder} holds {holds}: it is not overwritten", hint="Give a new folder."
        )
    return True


@contextmanager
def _shown(progress: bool) -> Iterator[Reporter]:
    if not progress:
        yield Quiet()
        return
    from bakery.ui.progress import reporter

    with reporter() as shown:
        yield shown


def _twin(given: BaseModel | None) -> BaseModel | None:
    """Return a loaded base to put an adapter on, which leaves the given model as it is."""
    if given is None:
        return None
    from bakery.engine.models.given import twin

    return twin(given)
