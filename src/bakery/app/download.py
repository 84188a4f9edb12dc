"""A recorded model's weights, out of the store: an adapter or a merged model, in many forms."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from bakery.app import as_gguf, compressing, model_card, stored
from bakery.app.export_place import (
    ARCHIVE_ENDINGS,
    OF_ADAPTER,
    README,
    RECORDED,
    check_free,
    draft,
    move,
    pack,
)
from bakery.app.launching import ADAPTER, MODEL
from bakery.app.model_card import Exported, Form, Weights
from bakery.defaults import defaults_for
from bakery.errors import ConfigError, RepoError
from bakery.identity import BaseModelId, file_digest
from bakery.paths import expanded
from bakery.repo.files import recipe
from bakery.repo.files.names import RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store.results import WEIGHTS

if TYPE_CHECKING:
    import torch

    from bakery.engine.models.models import BaseModel

LONG = {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}
DTYPES = ("auto", *LONG.values(), *as_gguf.STORED)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an export should be. `out` None: named after the bake, in the current folder."""

    out: Path | None = None
    form: Form | None = None
    """None: what the ending of `out` says; a folder where it says nothing."""
    merged: bool = False
    dtype: str = "auto"
    """Of merged weights, and of GGUF; `auto` is the one that bgit runs the base in, or the own one
    of a base in a GGUF file."""
    force: bool = False
    rank: int | None = None
    """The most that the adapter may have; None: it is as it was recorded."""
    base: bool = False
    """The base that the model lies on, in its place."""

    def check(self, form: Form) -> None:
        """Refuse a dtype or a rank that does not go with what is written."""
        if self.base and form != "gguf":
            raise ConfigError(
                "--base writes a base as GGUF: in its own files it is there already",
                hint="Add --format gguf, or leave --base out.",
            )
        if self.rank is not None and self.merged:
            raise ConfigError(
                "--rank is for an adapter: merged weights have none", hint="Leave one of them out."
            )
        if form == "gguf":
            as_gguf.check(self.dtype, is_lora=not self.merged)
        elif self.dtype == "q8_0":
            raise ConfigError(
                "--dtype q8_0 is a way to store weights in GGUF", hint="Add --format gguf."
            )
        elif self.dtype != "auto" and not self.merged:
            raise ConfigError(
                "--dtype is for merged weights: the adapter is exported as it was recorded",
                hint="Add --merged, or leave --dtype out.",
            )

    def place(self, bake: RecordedBake | None) -> tuple[Path, Form]:
        """Return where an export goes, and in which form; `bake` None: it is the base's."""
        named = self.out is not None and self.out.name.endswith(ARCHIVE_ENDINGS)
        form = self.form or ("tar.gz" if named else "folder")
        if self.out is not None and named != (form == "tar.gz"):
            raise ConfigError(
                f"--out {self.out} does not go with --format {form}",
                hint="An archive's name ends in .tar.gz, a folder's does not.",
            )
        if form == "gguf" and self.out is not None and self.out.suffix == ".gguf":
            raise ConfigError(
                f"--out {self.out} has to name a folder",
                hint=f"It holds {MODEL} or {ADAPTER}, its Modelfile, and how near it came.",
            )
        suffix = ("_merged" if self.merged and bake else "") + ("_gguf" if form == "gguf" else "")
        suffix = (f"_rank{self.rank}" if self.rank else "") + suffix
        what = f"{bake.name}_checkpoint_{bake.model.step}" if bake else "base"
        name = f"{what}{suffix}"
        out = self.out or Path(name + (".tar.gz" if form == "tar.gz" else ""))
        return expanded(out), form


def download(
    repo: ModelRepo,
    model: str = "parent",
    wanted: Wanted = Wanted(),
    *,
    step: int | None = None,
    reporter: Reporter,
) -> Exported:
    """Write the weights of a model by its name, at a step that it kept (None: the last).

    The base is a model only as GGUF, for the LoRAs of its bakes: its own files are there already.
    """
    if wanted.form == "gguf" and repo.find_model(model) is None:
        return export(repo, None, replace(wanted, merged=True), reporter)
    if wanted.base:
        wanted = replace(wanted, merged=True)
    bake = repo.find_bake(model)
    if step is not None:
        every = repo.lineage().bakes[bake.id].models
        chosen = tuple(model for model in every if model.step == step)
        if not chosen:
            kept = ", ".join(str(model.step) for model in every)
            raise RepoError(f"{bake.name} kept no step {step}", hint=f"It kept: {kept}.")
        bake = replace(bake, models=chosen)
    return export(repo, bake, wanted, reporter)


def export(
    repo: ModelRepo, bake: RecordedBake | None, wanted: Wanted, reporter: Reporter
) -> Exported:
    """Write a model's weights to a folder or an archive; nothing is overwritten without `force`.

    `bake` None: those of the base.
    """
    base = repo.state().base if bake is None else repo.base_of(bake)
    bake = None if wanted.base else bake
    path, form = wanted.place(bake)
    wanted.check(form)
    if bake is not None:
        _refuse_made_up(repo, bake)
    check_free(path, form, force=wanted.force)
    source = stored.weights(repo, bake.model) if bake is not None else None
    name = path.name
    for ending in ARCHIVE_ENDINGS:
        name = name.removesuffix(ending)
    with draft(path) as folder:
        chosen = replace(wanted, form=form)
        if bake is None or source is None:
            weights = _fill_with_base(base, folder / name, chosen, reporter)
        else:
            weights = _fill(repo, bake, source, folder / name, chosen, reporter)
        (folder / name / README).write_text(model_card.readme(weights, name), encoding="utf-8")
        made = folder / name
        if form == "tar.gz":
            reporter.note(f"packing {path.name}")
            made = folder / path.name
            pack(folder / name, made)
        digests = {
            file.name: file_digest(file)
            for file in ([made] if form == "tar.gz" else _weights_in(made))
        }
        size = sum(f.stat().st_size for f in ([made] if made.is_file() else made.iterdir()))
        check_free(path, form, force=wanted.force)  # it took a while: is it still as it was?
        move(made, path)
    shown = str(path)
    for ending in ARCHIVE_ENDINGS:
        shown = shown.removesuffix(ending)
    usage = model_card.usage(weights, shown)
    if form == "tar.gz":
        usage.insert(0, ("unpack", f"tar -xzf {quote(str(path))}"))
        usage[1:] = model_card.usage(weights, name)
    return Exported(weights, path, form, size, digests, usage)


def _weights_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in (".safetensors", ".gguf"))


def _refuse_made_up(repo: ModelRepo, bake: RecordedBake) -> None:
    """Refuse weights that learnt what no model said, wherever in their chain."""
    chain, _ = show.ancestry(repo.lineage(), bake)
    if found := next((link for link in chain if link.backend), None):
        raise RepoError(
            f"{found.name} learnt made-up answers, of the {found.backend} backend: it must not "
            "pass for a model",
            hint="Bake it without --backend, then download that.",
        )


def _fill_with_base(base: BaseModelId, folder: Path, wanted: Wanted, reporter: Reporter) -> Weights:
    """Put a base as GGUF into a new folder; return what is to be said of it."""
    from bakery.engine.bases import licence

    folder.mkdir()
    said = licence.said(base)
    found = as_gguf.whole(
        base, None, folder, dtype=wanted.dtype, name=base.name, licence=said, reporter=reporter
    )
    return Weights(None, base, 0, "", {}, found.stored, licence=said, gguf=found)


def _fill(
    repo: ModelRepo,
    bake: RecordedBake,
    source: Path,
    folder: Path,
    wanted: Wanted,
    reporter: Reporter,
) -> Weights:
    """Put weights, recipe and record into a new folder; return what is to be said of them."""
    from bakery.engine.bases import bases, licence
    from bakery.engine.models import adapter_folder, adapter_head

    base = repo.base_of(bake)
    chain, _ = show.ancestry(repo.lineage(), bake)
    folder.mkdir()
    digest = bake.digest_of(bake.model.step)
    unpacked = bases.unpacked_at(base)
    weights = Weights(
        bake.model, base, 0, digest, bake.data, None, unpacked,
        earlier=tuple(link.data for link in chain[:-1]), licence=licence.said(base),
        is_elsewhere=base.digest != repo.state().base.digest,
    )  # fmt: skip
    whole = adapter_head.read(source / WEIGHTS).rank
    if wanted.rank is not None and wanted.rank >= whole:
        reporter.note(f"the adapter has rank {whole}: with --rank {wanted.rank} it is as recorded")
    elif wanted.rank is not None:
        asked = [(link.base_name, repo.store.bake(link.id)) for link in chain]
        lost = compressing.compress(
            base, asked, source, folder.parent,
            rank=wanted.rank, load=compressing.fresh(base, reporter), reporter=reporter,
        )  # fmt: skip
        weights, source = replace(weights, compressed=lost), folder.parent / compressing.PLACE
    if wanted.form == "gguf":
        weights = _as_gguf(weights, source, folder, wanted, reporter)
    elif wanted.merged:
        weights = replace(weights, merged_as=_merge(weights, source, folder, wanted, reporter))
    else:
        for name in OF_ADAPTER:
            if name == WEIGHTS or weights.compressed is None:
                shutil.copyfile(source / name, folder / name)
        named = weights.loads_from
        rank = adapter_folder.write_config(folder, base=named, revision=base.revision)
        weights = replace(weights, rank=rank)
        for name in RECORDED if weights.compressed is None else ():  # they are of the whole
            if (source.parent / name).is_file():
                shutil.copyfile(source.parent / name, folder / name)
    text = recipe.new(base.name)
    for ancestor in chain:
        text = recipe.append(text, ancestor.block)
    (folder / RECIPE).write_text(text, encoding="utf-8", newline="\n")
    return weights


def _as_gguf(
    weights: Weights, source: Path, folder: Path, wanted: Wanted, reporter: Reporter
) -> Weights:
    """Write weights as GGUF, verified; return what is to be said of them."""
    from bakery.engine.models import adapter_head

    rank = adapter_head.read(source / WEIGHTS).rank
    write = as_gguf.whole if wanted.merged else as_gguf.lora
    found = write(
        weights.base, source, folder, dtype=wanted.dtype, name=weights.called,
        licence=weights.licence, reporter=reporter,
    )  # fmt: skip
    merged_as = found.stored if wanted.merged else None
    return replace(weights, rank=rank, merged_as=merged_as, gguf=found)


def _merge(weights: Weights, source: Path, folder: Path, wanted: Wanted, reporter: Reporter) -> str:
    """Write base and adapter as one model; return the dtype of its weights."""
    import torch

    from bakery.engine.models import adapters, merged, models

    reporter.note(f"loading {weights.base.name} in float32, to add the adapter without rounding")
    base = models.load(weights.base, dtype="float32", reporter=reporter)
    dtype = _dtype(base, wanted.dtype)
    student = adapters.attach_parent(base.model, source)
    merged.check(student)
    lost = merged.lost_by_rounding(student, dtype) if dtype is not torch.float32 else 0.0
    merged.write(student, base.chat.tokenizer, folder, dtype=dtype)
    name = str(dtype).removeprefix("torch.")
    if lost:
        reporter.note(
            f"rounding the sum to {name} loses {100 * lost:.2g} % of what the bakes changed"
        )
    return name


def _dtype(base: BaseModel, asked: str) -> torch.dtype:
    import torch
    from transformers import AutoConfig

    name = defaults_for(base.id).dtype if asked == "auto" else LONG.get(asked, asked)
    if name == "auto":
        # That of the loaded weights was chosen here.
        config = AutoConfig.from_pretrained(base.model.name_or_path, trust_remote_code=False)
        name = str(config.dtype or torch.float32).removeprefix("torch.")
    found = getattr(torch, name)
    assert isinstance(found, torch.dtype)
    return found
