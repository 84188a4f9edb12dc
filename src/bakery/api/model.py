"""A loaded model, base or baked: talk to it, ask it many things at once, read its logits."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.api import asked as given
from bakery.api.asked import Asked
from bakery.app import chat, meaning
from bakery.conversation import ChatSettings
from bakery.errors import ConfigError, ModelError
from bakery.identity import SamplingSettings, short_id
from bakery.records import Message, Prompt
from bakery.reporting import Quiet, Reporter
from bakery.store import results

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from bakery.backends.local import LocalModel
    from bakery.engine.models.strength import Strength

USUAL_TOKENS = 256
"""How long an answer may become where nobody says it."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The answers to one question: of the base, of the prompted parent, and as baked."""

    question: str
    base: str
    prompted: str
    baked: str


class Comparison(tuple[Compared, ...]):
    """Answers side by side: a tuple of `Compared`, and a table where it is shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "\n\n".join(
            f"{row.question}\n  base      {row.base}\n  prompted  {row.prompted}\n"
            f"  baked     {row.baked}"
            for row in self
        )

    def _repr_html_(self) -> str:
        names = ("question", "base", "prompted", "baked")
        rows = ([getattr(row, name) for name in names] for row in self)
        return table(names, rows)


def table(head: Sequence[str], rows: Iterator[list[str]]) -> str:
    """Return an HTML table of texts, for notebooks."""

    def line(tag: str, cells: Sequence[str]) -> str:
        inner = "".join(
            f'<{tag} style="text-align:left;vertical-align:top">{html.escape(cell)}</{tag}>'
            for cell in cells
        )
        return f"<tr>{inner}</tr>"

    return f"<table>{line('th', head)}{''.join(line('td', row) for row in rows)}</table>"


class Model:
    """A model that answers. `strength` is how much of its bake is in it: 0 is its parent."""

    def __init__(
        self,
        opened: chat.Opened,
        *,
        taught: meaning.Prompts | None = None,
        is_prompted: bool = False,
    ) -> None:
        """`taught`: what its bake replaces; None: nothing was baked in that is known here.

        `is_prompted`: what was baked in is put in front of what is asked.
        """
        self._opened, self._taught, self._is_prompted = opened, taught, is_prompted

    @property
    def name(self) -> str:
        """What it is called."""
        return self._opened.name

    @property
    def strength(self) -> float:
        """How much of the last bake is in the answers; it may be set."""
        return self._opened.strength.own

    @strength.setter
    def strength(self, value: float) -> None:
        self._opened.scale(value)

    @property
    def model(self) -> PreTrainedModel | PeftModel:
        """The transformers model, with its adapter if it is a bake."""
        self._opened.turn()
        return self._opened.local.model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """Its tokenizer."""
        return self._opened.local.base.chat.tokenizer

    def __repr__(self) -> str:
        baked = f", strength={self.strength:g}" if self._opened.dial is not None else ""
        return f"bakery.Model({self.name!r}{baked})"

    def chat(
        self,
        asked: Asked,
        *,
        prompt: str | Sequence[Message] | None = None,
        max_tokens: int | None = None,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int | None = None,
    ) -> str:
        """Answer a question, or a conversation that ends with one.

        `prompt` is put before it; None: what the bake's student prompt says, as a rule nothing,
        or what was baked in where it was loaded as NAME@prompted.
        Temperature 0 takes the likeliest token every time. Raises ConfigError where the
        conversation does not fit into the model's context.
        """
        given.sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)
        settings = ChatSettings(temperature, top_p, max_tokens, seed)
        speaker = self._opened.speaker()
        return "".join(speaker.reply(self._prompt(prompt), list(given.messages(asked)), settings))

    def generate(
        self,
        questions: Sequence[Asked],
        *,
        prompt: str | Sequence[Message] | None = None,
        max_tokens: int = USUAL_TOKENS,
        temperature: float = 0.0,
        top_p: float = 1.0,
        seed: int = 0,
    ) -> list[str]:
        """Answer many questions at once; a beginning that they share is run once.

        Each answer's random numbers come from `seed`, its question and its place alone.
        """
        given.sampling(max_tokens=max_tokens, temperature=temperature, top_p=top_p, seed=seed)
        asked = given.many(questions)
        self._opened.turn()
        settings = SamplingSettings(1, max_tokens, temperature, top_p, seed=seed)
        return _answers(self._opened.local, asked, self._prompt(prompt), settings)

    def logits(
        self, asked: Asked | Sequence[int], *, prompt: str | Sequence[Message] | None = None
    ) -> torch.Tensor:
        """Return the logits (T, V), in float32, after each of the T tokens of a conversation.

        A list of ints is taken as token ids. The last row is of the answer's first token.
        """
        import torch

        local = self._opened.local
        ids = _ids(local, asked)
        if ids is not None and prompt is not None:
            raise ConfigError("token ids stand for themselves: a prompt goes with words")
        if ids is None:
            ids = local.base.chat.prefix_ids(self._prompt(prompt), given.messages(asked))
        if len(ids) > local.base.context:
            raise ConfigError(
                f"that is {len(ids)} tokens, and {self.name} has a context of {local.base.context}"
            )
        self._opened.turn()
        with torch.no_grad():
            rows = torch.tensor([ids], device=local.base.device)
            found: torch.Tensor = local.model(rows, use_cache=False).logits[0].float()
        return found

    def compare(self, questions: Sequence[Asked], *, max_tokens: int = USUAL_TOKENS) -> Comparison:
        """Have questions answered by base, prompted parent and baked model, greedily.

        Raises ConfigError where it is not known what was baked in.
        """
        if self._taught is None:
            raise ConfigError(
                f"{self.name} was not baked here, so there is no prompt to compare it with",
                hint="Load a bake's own folder, or the result of `bakery.bake`.",
            )
        if self._taught.by is not None:
            raise ConfigError(
                f"{self.name} learnt from {self._taught.by}, which lies on another base: there is "
                "no prompted model in it",
                hint="Load that one, and ask both: `model.chat(question, prompt=...)`.",
            )
        from bakery.engine.models.strength import AS_BASE, AS_PARENT

        given.sampling(max_tokens=max_tokens)
        asked, settings = given.many(questions), SamplingSettings(1, max_tokens, 0.0)
        sides: list[tuple[Strength, Prompt]] = [
            (AS_BASE, self._taught.student),
            (AS_PARENT, self._taught.teacher),
            (self._opened.strength, self._prompt(None)),
        ]
        columns = []
        for strength, behind in sides:
            self._opened.turn(strength)
            columns.append(_answers(self._opened.local, asked, behind, settings))
        texts = [text_of(one) for one in asked]
        return Comparison(Compared(*row) for row in zip(texts, *columns, strict=True))

    def _prompt(self, prompt: str | Sequence[Message] | None) -> Prompt:
        if prompt is not None:
            return given.prompt(prompt)
        if self._taught is None:
            return Prompt()
        return self._taught.teacher if self._is_prompted else self._taught.student


def load(
    ref_or_folder: str | Path, strength: float | None = None, *, reporter: Reporter | None = None
) -> Model:
    """Load a model by any name: of a bake, of a base, or the folder of an adapter or a model.

    Names of bakes, branches and commits (`yoda_bake`, `main`, `HEAD~1`, `base`) are those of the
    repository that the current folder lies in; a folder needs no repository. `strength` is how much
    of the last bake there is: 0 is its parent, 1 the bake. `NAME:0.5` says the same, and
    `NAME@prompted` is the parent behind the prompt that was baked in. Raises RepoError or
    ModelError where nothing has that name.

        model = bakery.load("my-adapter", strength=0.5)
        print(model.chat("Who are you?"))
    """
    from bakery.repo.model_repo import ModelRepo

    if not isinstance(ref_or_folder, str | Path) or not str(ref_or_folder):
        raise ConfigError(f"a model's name or folder is needed, not {ref_or_folder!r:.80}")
    name, here = _in_its_bake(given.path(ref_or_folder, "the model")), ModelRepo.here()
    if here is None and "/" not in name and not _lies_here(name):
        raise ModelError(
            f"there is no folder {name}, and no model repository around {Path.cwd()}",
            hint="Give the folder of an adapter or a model, or a hub id like Qwen/Qwen3-0.6B.",
        )
    meant = meaning.find(here, name)
    opened = chat.opened(meant, strength=strength, reporter=reporter or Quiet())
    return Model(opened, taught=meaning.taught(meant), is_prompted=meant.is_prompted)


def _in_its_bake(named: Path) -> str:
    """Return a name; of the folder of a bake in a store, that of its last step."""
    found = results.seen(named / results.RESULT)
    if found is not None and not (named / results.WEIGHTS).is_file():
        return str(named / str(found.get("step")))
    return str(named)


def _lies_here(name: str) -> bool:
    from bakery.engine.bases import bases

    return bases.is_here(name) or name in (*bases.ALIASES, bases.EMBEDDED)


def _ids(local: LocalModel, asked: Any) -> list[int] | None:
    """Return token ids that a model has; None: something is asked in words."""
    if isinstance(asked, str | bytes) or not isinstance(asked, Sequence) or not asked:
        return None
    ids = [part for part in asked if isinstance(part, int) and not isinstance(part, bool)]
    if len(ids) < len(asked):
        return None
    size = local.model.get_input_embeddings().weight.shape[0]
    if not all(0 <= one < size for one in ids):
        raise ConfigError(f"a token id is from 0 to {size - 1}, not {min(ids)} or {max(ids)}")
    return ids


def text_of(asked: Sequence[Message]) -> str:
    """Return the last question, as a person reads it."""
    return str(asked[-1].get("content", ""))


def _answers(
    local: LocalModel,
    questions: Sequence[Sequence[Message]],
    prompt: Prompt,
    settings: SamplingSettings,
) -> list[str]:
    """Return an answer to each question, all of them in one batch."""
    from bakery.backends.base import AnswerRequest

    asked = [
        AnswerRequest(short_id([settings.seed, at, list(messages)]), tuple(messages))
        for at, messages in enumerate(questions)
    ]
    chat_ids = (local.base.chat.prefix_ids(prompt, a.messages) for a in asked)
    room = local.base.context - max(map(len, chat_ids), default=0)
    if room > 0:  # else it is refused where it is asked
        settings = replace(settings, max_tokens=min(settings.max_tokens, room))
    said = {a.key: a.text for batch in local.answers(asked, prompt, settings) for a in batch}
    return [said[a.key] for a in asked]
