"""What stands beside exported weights: a README that says what they are and how to use them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any, Literal

from bakery import kept
from bakery import readme as text
from bakery.app import launching
from bakery.app.compressing import Compression
from bakery.app.launching import InGguf
from bakery.card import Card
from bakery.identity import BaseModelId
from bakery.plain import plain
from bakery.records import ModelRef
from bakery.repo.look.diff import prompt_text
from bakery.variables import shown

EMBEDDED = "tiny-1"


@dataclass(frozen=True, slots=True)
class Weights:
    """What is exported, and what there is to say about it."""

    model: ModelRef | None
    """None: it is the base itself."""
    base: BaseModelId
    rank: int
    digest: str
    """Of the recorded adapter."""
    record: Mapping[str, Any]
    """The block of recipe.yml."""
    merged_as: str | None
    """The dtype of merged weights; None: it is the adapter."""
    unpacked: str | None = None
    """The folder that a base in one file is unpacked into, for all that cannot read the file. None:
    the base loads by its own name."""
    earlier: tuple[Mapping[str, Any], ...] = ()
    """The blocks of the bakes that it was baked on, oldest first."""
    licence: str | None = None
    """What the base says of itself; None: it is not known."""
    gguf: InGguf | None = None
    """How it was written as GGUF; None: it was not."""
    compressed: Compression | None = None
    """What it lost with its ranks; None: it has all of them."""
    is_elsewhere: bool = False
    """Whether it lies on another base than its branch: `base` means the branch's own."""

    @property
    def called(self) -> str:
        """The whole name of the model."""
        return self.base.name if self.model is None else str(self.model)

    @property
    def given_name(self) -> str:
        """What people call it."""
        return Path(self.base.name).stem if self.model is None else self.model.given_name

    @property
    def loads_from(self) -> str:
        """By what name other programs load the base."""
        return self.unpacked or self.base.name


Form = Literal["folder", "tar.gz", "gguf"]


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and how to use it."""

    weights: Weights
    path: Path
    form: Form
    size: int
    """Bytes."""
    digests: dict[str, str]
    """SHA-256 of the archive, or of every weights file in the folder."""
    usage: list[tuple[str, str]]

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit download --json` prints."""
        weights = self.weights
        return {
            "model": weights.called,
            "base": plain(weights.base),
            "path": str(self.path.absolute()),
            "format": self.form,
            "merged": weights.merged_as is not None,
            "dtype": weights.merged_as,
            "size": self.size,
            "sha256": self.digests,
            "usage": dict(self.usage),
            **({"gguf": weights.gguf.as_data()} if weights.gguf else {}),
            **({"compressed": weights.compressed.as_data()} if weights.compressed else {}),
        }


_MADE_BY = "`recipe.yml` says how it was made: `bgit reproduce` makes it again from the repository."


Part = Literal["prompt", "examples"]
"""What can be left out where an export is for others: with the prompt go the examples, too."""


def readme(
    weights: Weights,
    folder: str,
    *,
    without: Collection[Part] = (),
    measured: Sequence[str] = (),
    on_hub: str = "",
) -> str:
    """Return the README.md of an export; `folder` is what its own folder is called.

    `measured`: paragraphs about its evaluation. `on_hub`: its repository on the Hub.
    """
    base, model = weights.base, weights.model
    if model is None:
        return _readme_of_base(weights, folder)
    what = (
        f"The model `{model}`: its base, with the adapter in its weights ({weights.merged_as})."
        if weights.merged_as
        else f"The LoRA adapter of the model `{model}`, of rank {weights.rank}. Every bake of its "
        f"chain is in it{_compressed(weights)}: it goes on the base model itself."
    )
    card = _shown(Card.from_data(weights.record.get("card") or {}), without)
    local = base.name == EMBEDDED or base.name.startswith("/")
    parts = [
        text.front_matter(
            base=None if local else base.name,
            library=_library(weights),
            is_merged=weights.merged_as is not None,
            licence=weights.licence,
        ),
        f"# {model.bake}, step {model.step}",
        what,
        _table(weights, card),
        *([f"{weights.compressed.sentence()}."] if weights.compressed else []),
        *_joined(weights.record),
        *text.held(card),
        *measured,
        "## What was baked in",
        *_chain(weights, without),
        *_adopted(weights),
        *_proven(weights),
        "## Use it",
        *_from_hub(weights, folder, on_hub),
        *_used(weights, folder),
        *_files(weights, without),
        "## Licence",
        f"These weights are made from {base.name}, whose licence"
        f"{f' ({weights.licence})' if weights.licence else ''} binds them, too: see that model's "
        "own page or files. The questions and answers that they learnt from may bring terms of "
        "their own.",
    ]
    return "\n\n".join(parts) + "\n"


def _shown(card: Card, without: Collection[Part]) -> Card:
    """Return a card without what is left out: sentences of the prompt, or answers."""
    if not without:
        return card
    verdict = replace(card.verdict, reason="") if card.verdict else None
    coverage = () if "prompt" in without else card.coverage
    return replace(card, side_by_side=(), verdict=verdict, coverage=coverage)


def _files(weights: Weights, without: Collection[Part]) -> Iterator[str]:
    """Yield what stands beside the weights, and what it is for."""
    told = [] if "prompt" in without else [_MADE_BY]
    if weights.gguf is not None:
        told.append("`verified.json` says how near this file came to the model that it was made "
                    "from, and `Modelfile` is what Ollama reads.")  # fmt: skip
    elif told and weights.compressed is None and weights.merged_as is None:
        told.append("In a clone of that repository `bgit import` takes these weights, after "
                    "checking their digest.")  # fmt: skip
    if told:
        yield "## Files"
        yield " ".join(told)


def _compressed(weights: Weights) -> str:
    """Say that older bakes share ranks in it, where a bake of its chain was put on them so."""
    if any(one.get("compressed") for one in (weights.record, *weights.earlier)):
        return ", the older ones compressed together"
    return ""


def _summed_up(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the word for a bake that was put together, and why; None: it was not, or not asked."""
    return kept.summed_up(kept.recorded(record.get("joined") or {}))


def _joined(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield what a bake was put together from, and what is left of that."""
    if not (told := record.get("joined")):
        return
    names = ", ".join(f"`{name}`" for side in told["sides"] for name in side)
    on = (record.get("parent") or {}).get("model")
    where = f" on `{on}`" if on else ""
    yield "## It was put together from other bakes"
    yield f"From {names}{where} (`{told['how']}`), without a prompt of its own."
    if found := _summed_up(record):
        yield f"{found[0].capitalize()}: {found[1]}."


def _adopted(weights: Weights) -> Iterator[str]:
    """Yield from where on the Hub bakes of its chain were taken."""
    for record in (*weights.earlier, weights.record):
        if came := record.get("adopted"):
            yield f"`{record.get('bake_name', '?')}` was taken from `{came.get('from')}`, commit " \
                  f"`{came.get('commit')}`."  # fmt: skip


def _from_hub(weights: Weights, folder: str, repo: str) -> Iterator[str]:
    """Yield how what lies on the Hub gets here, where programs do not fetch it by themselves."""
    if repo and weights.gguf is not None:
        command = f"hf download {repo} --local-dir {quote(folder)}"
        yield f"The files:\n\n```\n{command}\n```"
    elif repo and weights.merged_as is None:
        yield f"bgit, to bake on top of it:\n\n```\nbgit adopt hf://{repo}\n```"


def _used(weights: Weights, folder: str) -> Iterator[str]:
    for title, command in usage(weights, folder):
        yield f"{title}:\n\n```\n{command}\n```"


def _readme_of_base(weights: Weights, folder: str) -> str:
    """Return the README.md of a base model as GGUF."""
    base = weights.base
    parts = [
        f"# {base.name}",
        f"The base model as one GGUF file ({weights.merged_as}), without any bake: LoRAs of its "
        "bakes go on it.",
        text.table({"revision": base.revision or None, "digest of the base": f"`{base.digest}`"}),
        *_proven(weights),
        "## Use it",
        *_used(weights, folder),
    ]
    return "\n\n".join(parts) + "\n"


def usage(weights: Weights, folder: str) -> list[tuple[str, str]]:
    """Return what to type to use exported weights: (with what, commands)."""
    if weights.gguf is not None:
        base = f"{weights.model.bake} --base" if weights.is_elsewhere and weights.model else "base"
        return launching.usage(weights.gguf, folder, weights.given_name, base=base)
    few = f" --rank {weights.rank}" if weights.compressed else ""
    in_gguf = f"bgit download {weights.model.bake if weights.model else 'base'}{few} --format gguf"
    if weights.merged_as:
        return [
            ("transformers", _python(json.dumps(folder, ensure_ascii=False), None)),
            ("vLLM", f"vllm serve {quote(folder)}"),
            ("llama.cpp, Ollama, LM Studio", f"{in_gguf} --merged"),
        ]
    name = weights.given_name
    base = "PATH_TO_TINY" if weights.base.name == EMBEDDED else quote(weights.loads_from)
    revision = f" --revision {weights.base.revision}" if weights.base.revision else ""
    return [
        ("PEFT", _python(_base_text(weights), folder)),
        (
            "vLLM",
            f"vllm serve {base}{revision} --enable-lora --max-lora-rank {_vllm_rank(weights.rank)} "
            f"--lora-modules {quote(f'{name}={folder}')}",
        ),
        ("llama.cpp, Ollama", in_gguf),
    ]


def _library(weights: Weights) -> str:
    if weights.gguf is not None:
        return "gguf"
    return "transformers" if weights.merged_as else "peft"


def _proven(weights: Weights) -> Iterator[str]:
    """Yield how near a file in GGUF came, and what a person has to know of it."""
    if weights.gguf is not None:
        yield "## How near this file is"
        yield f"{weights.gguf.sentence()} (`verified.json`)."
        yield from (f"- {note}." for note in weights.gguf.notes)


def _python(base: str, adapter: str | None) -> str:
    lines = ["from transformers import AutoModelForCausalLM, AutoTokenizer"]
    dtype = ""
    if "files(" in base:  # the embedded model, which bgit runs so
        lines.insert(0, "from importlib.resources import files")
        dtype = ', dtype="float32"'
    if adapter is not None:
        lines.append("from peft import PeftModel")
    lines += [
        f"model = AutoModelForCausalLM.from_pretrained({base}{dtype})",
        f"tokenizer = AutoTokenizer.from_pretrained({base})",
    ]
    if adapter is not None:
        lines.append(
            f"model = PeftModel.from_pretrained(model, {json.dumps(adapter, ensure_ascii=False)})"
        )
    return "\n".join(lines)


def _base_text(weights: Weights) -> str:
    """Return the arguments that load a base model in Python."""
    base = weights.base
    if base.name == EMBEDDED:
        return 'files("bakery") / "tiny"'
    revision = f', revision="{base.revision}"' if base.revision else ""
    return json.dumps(weights.loads_from, ensure_ascii=False) + revision


_VLLM_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)


def _vllm_rank(rank: int) -> int:
    """Return the smallest limit that vLLM knows and that has room for a rank."""
    return next((known for known in _VLLM_RANKS if known >= rank), rank)


def _table(weights: Weights, card: Card) -> str:
    base, whole = weights.base, "whole " if weights.compressed else ""
    rows = {
        "base model": f"`{base.name}`",
        "revision": f"`{base.revision}`" if base.revision else None,
        "digest of the base": f"`{base.digest}`",
        "the base is": _how_unpacked(weights),
        f"digest of the {whole}adapter": f"`sha256:{weights.digest}`",
        "baked on": f"`{(weights.record.get('parent') or {}).get('model') or base.name}`",
        **(text.figures(card) if weights.record.get("card") else {}),
        "baked": weights.record.get("finished"),
    }
    return text.table(rows)


def _how_unpacked(weights: Weights) -> str | None:
    """Return how the base was read, where it is a GGUF file."""
    if weights.unpacked is None:
        return None
    made = (weights.record.get("versions") or {}).get("base") or {}
    how = ", unpacked from {} to {} by {}".format(*(made.get(k) for k in ("from", "to", "by")))
    kept = "" if weights.merged_as else f"; bakery keeps that in `{weights.unpacked}`"
    return f"a GGUF file of that SHA-256{how if made else ''}{kept}"


def _chain(weights: Weights, without: Collection[Part]) -> Iterator[str]:
    """Yield the prompts of every bake of the chain, oldest first, each with how near it came."""
    is_shown = "prompt" not in without
    if not is_shown:
        yield "Who published it has left the prompt out."
    if not weights.earlier:
        yield from map(_target, weights.record["targets"] if is_shown else ())
        return
    for number, record in enumerate((*weights.earlier, weights.record), start=1):
        card = Card.from_data(record.get("card") or {})
        summed = _summed_up(record)
        word = card.verdict.word if card.verdict else summed[0] if summed else None
        told = [word, text.divergence(card)]
        said = "; ".join(part for part in told if part)
        yield f"### {number}. `{record.get('bake_name', '?')}`"
        if said:
            yield f"{said}."
        yield from map(_target, record["targets"] if is_shown else ())


def _target(target: Mapping[str, Any]) -> str:
    found = [
        f"{label}\n\n{text.quoted(prompt_text(target[kind]))}"
        for kind, label in (
            ("teacher", f"The teacher's prompt of `{target['name']}`:"),
            ("student", "What has to be sent for it:"),
        )
        if kind == "teacher" or target["student"].get("messages")
    ]
    if target.get("variables"):
        found.append(f"Each row fills it; the first:\n\n{text.quoted(shown(target['variables']))}")
    return "\n\n".join(found)
