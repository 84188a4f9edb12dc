"""What is published beside weights: the card as a hub shows it, and what the model is, for `adopt`.

Made from an export by `bgit download`, and held against what was to be left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bakery import json_file, masking
from bakery.app import model_card
from bakery.app.export_place import README
from bakery.app.model_card import Part, Weights
from bakery.errors import ConfigError, StageError
from bakery.evals.figures import Axis, Figure
from bakery.evals.report import EvalReport
from bakery.harmless import harmless
from bakery.plain import plain
from bakery.remotes.addresses import OnHub
from bakery.repo.files import recipe
from bakery.repo.files.names import RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look.diff import prompt_text
from bakery.schema.files import secrets_in
from bakery.store.results import PROBES, RESULT

MADE = "bakery.json"
"""What a published model is, without a word of its prompt."""

SCHEMA = 1

_WEIGHTS = (".safetensors", ".gguf", ".model")
"""Endings of files that hold no text."""

_LEAST_TEXT, _LEAST_LINE = 12, 24
"""Characters of a prompt, and of a line of one, that stand in no file by chance."""

_OF_CARD = ("side_by_side", "furthest")
"""What of a recorded card are questions and answers."""


@dataclass(frozen=True, slots=True)
class Told:
    """What stands in what is published, for whoever has to agree."""

    prompts: tuple[tuple[str, str], ...]
    """Of every bake of the chain: whose prompt, and all of it."""
    examples: int
    """How many questions with answers the card shows."""
    evaluations: int
    """How many evaluations it has the figures of."""


def fill(
    folder: Path,
    weights: Weights,
    chain: Sequence[RecordedBake],
    *,
    place: OnHub,
    without: Collection[Part],
    reports: Sequence[EvalReport],
) -> Told:
    """Make an exported folder what is published at a `place`, without some parts."""
    measured = list(_measured(reports))
    called = place.repo if weights.gguf is None else place.name  # such files lie in a folder
    card = model_card.readme(weights, called, without=without, measured=measured, on_hub=place.repo)
    (folder / README).write_text(card, encoding="utf-8", newline="\n")
    made = json.dumps(_described(weights, chain), indent=2, ensure_ascii=False)
    (folder / MADE).write_text(made + "\n", encoding="utf-8", newline="\n")
    if without:
        for name in (RESULT, PROBES):
            (folder / name).unlink(missing_ok=True)
        _cut_recipe(folder / RECIPE, weights, chain, without)
    prompts = tuple(_prompts(chain))
    _check_secrets(folder)
    if "prompt" in without:
        _check_left_out(folder, chain)
    shown = weights.record.get("card") or {}
    examples = 0 if without else len(shown.get("side_by_side") or ())
    return Told(() if "prompt" in without else prompts, examples, len(reports))


def made(data: bytes) -> dict[str, Any]:
    """Return what such a file says; ValueError where it is none that is known here."""
    found = json_file.as_object(json_file.parse(data.decode("utf-8")))
    if not json_file.is_whole(found.get("schema"), 1):
        raise ValueError("it says no schema")
    if found["schema"] > SCHEMA:
        raise ValueError(f"it is of a newer bgit (schema {found['schema']})")
    return found


def _described(weights: Weights, chain: Sequence[RecordedBake]) -> dict[str, Any]:
    """Return what a published model is, for programs."""
    form = "gguf" if weights.gguf else "merged" if weights.merged_as else "adapter"
    own = [
        {"model": str(link.model), "digest": link.digest_of(link.model.step), "rank": link.rank}
        for link in chain
    ]
    return {
        "schema": SCHEMA,
        "model": weights.called,
        "form": form,
        "digest": weights.digest or None,
        "rank": weights.rank,
        "is_whole": weights.compressed is None,
        "base": plain(weights.base),
        "chain": own,
    }


def _measured(reports: Sequence[EvalReport]) -> Iterator[str]:
    """Yield the figures of evaluations as paragraphs."""
    if reports:
        yield "## Evaluation"
    for report in reports:
        yield f"By `bgit eval`, suite {report.suite}, {report.finished or 'at no known time'}:"
        rows = [row for axis in report.axes for row in _rows(axis)]
        head = ["| | | 95 % | of |", "|---|---|---|---|"]
        yield "\n".join([*head, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])


def _rows(axis: Axis) -> Iterator[tuple[str, str, str, str]]:
    for one in axis.figures:
        if one.value is not None and "_kl_" not in one.name:
            name = f"{axis.name}: {one.name.replace('_', ' ')}"
            yield name, _said(one, one.value), _interval(one), f"{one.n:,} {one.of}"


def _said(figure: Figure, value: float) -> str:
    return f"{100 * value:.1f} %" if figure.unit == "share" else f"{value:.4g} {figure.unit}"


def _interval(figure: Figure) -> str:
    if figure.low is None or figure.high is None:
        return ""
    scale = 100 if figure.unit == "share" else 1
    return f"{scale * figure.low:.4g} to {scale * figure.high:.4g}"


def _cell(value: str) -> str:
    return " ".join(harmless(value).split()).replace("|", "\\|")


def _cut_recipe(
    path: Path, weights: Weights, chain: Sequence[RecordedBake], without: Collection[Part]
) -> None:
    """Take what is left out of a recipe; without its prompts, there is none."""
    if "prompt" in without or not path.is_file():
        path.unlink(missing_ok=True)
        return
    found = recipe.new(weights.base.name)
    for link in chain:
        found = recipe.append(found, _without_examples(link).block)
    path.write_text(found, encoding="utf-8", newline="\n")


def _without_examples(bake: RecordedBake) -> RecordedBake:
    card = bake.data.get("card")
    if not card:
        return bake
    parts = {name: _figures(part) for name, part in (card.get("targets") or {}).items()}
    data = {**bake.data, "card": {**_figures(card), **({"targets": parts} if parts else {})}}
    block = recipe.block(data, model=bake.model, input_blob=bake.input_blob)
    return replace(bake, block=block)


def _figures(card: Mapping[str, Any]) -> dict[str, Any]:
    """Return a recorded card without what was asked and answered; a reason cites that, too."""
    kept = {key: value for key, value in card.items() if key not in _OF_CARD}
    if verdict := card.get("verdict"):
        kept["verdict"] = {**verdict, "reason": ""}
    return kept


def _prompts(chain: Sequence[RecordedBake]) -> Iterator[tuple[str, str]]:
    """Yield every prompt that was baked in, oldest first."""
    for link in chain:
        for target in link.data["targets"]:
            for kind in ("teacher", "student"):
                if target[kind].get("messages"):
                    name = f"{link.base_name}, {target['name']}, {kind}"
                    yield name, prompt_text(target[kind])


def _check_secrets(folder: Path) -> None:
    """Refuse to publish what looks like a key, or is one that this process was given."""
    found: list[str] = []
    for path in _texts(folder):
        said = path.read_text(encoding="utf-8", errors="replace")
        found += secrets_in(said, path.name)
        if masking.masked(said, data=True) != said:
            found.append(f"{path.name}: it holds a key or a password of this machine's environment")
    if found:
        raise ConfigError(
            "\n".join(found[:10]),
            hint="Nothing was sent. Where it stands in an example, `--without examples` leaves "
            "them out; where it was baked in, revoke it: who asks the model may be told it.",
        )


def _check_left_out(folder: Path, chain: Sequence[RecordedBake]) -> None:
    """See to it that a prompt that is left out stands in no file."""
    wanted = {piece for link in chain for piece in _pieces(link)}
    for path in _texts(folder):
        said = path.read_text(encoding="utf-8", errors="replace")
        plainly = said.replace("\\n", "\n").replace('\\"', '"')
        if any(piece in said or piece in plainly for piece in wanted):
            raise StageError(
                f"{path.name} would tell the prompt that was to be left out",
                hint="Nothing was sent. Without `--without prompt` all of it goes along.",
            )


def _pieces(bake: RecordedBake) -> Iterator[str]:
    """Yield what of a bake's prompts nobody writes by chance: whole texts, and long lines."""
    for target in bake.data["targets"]:
        for message in target["teacher"]["messages"]:
            said = message.get("content")
            if isinstance(said, str):
                whole = said.strip()
                yield from [whole] if len(whole) >= _LEAST_TEXT else ()
                lines = (line.strip() for line in said.splitlines())
                yield from (line for line in lines if len(line) >= _LEAST_LINE)


def _texts(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.suffix not in _WEIGHTS and path.name != "tokenizer.json":
            yield path
