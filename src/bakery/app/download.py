"""A recorded model's weights, out of the store: an adapter or a merged model, as folder or archive.

Made beside their place and renamed into it, so nobody ever sees half of one.
"""

from __future__ import annotations

import gzip
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from bakery.app import model_card, stored
from bakery.app.model_card import Exported, Form, Weights
from bakery.defaults import defaults_for
from bakery.errors import ConfigError, RepoError, StageError
from bakery.identity import file_digest
from bakery.paths import expanded
from bakery.records import sync_folder
from bakery.repo.files import recipe
from bakery.repo.files.names import RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import drafts
from bakery.store.results import METRICS, PROBES, RESULT, WEIGHTS

if TYPE_CHECKING:
    import torch

    from bakery.engine.models.models import BaseModel

DTYPES = ("auto", "float32", "bfloat16", "float16")

README = "README.md"
ARCHIVE_ENDINGS = (".tar.gz", ".tgz")
_RECORDED = (RESULT, METRICS, PROBES)
_ADAPTER = (WEIGHTS, "slices.json")
_MERGED = (
    "config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json",
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model",
    "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
_WRITTEN = frozenset((README, RECIPE, "adapter_config.json", *_ADAPTER, *_RECORDED, *_MERGED))
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")

NAMED = 5
"""How many files of others a refusal names."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an export should be. `out` None: named after the bake, in the current folder."""

    out: Path | None = None
    form: Form | None = None
    """None: what the ending of `out` says; a folder where it says nothing."""
    merged: bool = False
    dtype: str = "auto"
    """Of merged weights; `auto` is the one that bgit runs the base in."""
    force: bool = False

    def place(self, bake: RecordedBake) -> tuple[Path, Form]:
        """Return where a bake's export goes, and in which form."""
        named = self.out is not None and self.out.name.endswith(ARCHIVE_ENDINGS)
        form = self.form or ("tar.gz" if named else "folder")
        if self.out is not None and named != (form == "tar.gz"):
            raise ConfigError(
                f"--out {self.out} does not go with --format {form}",
                hint="An archive's name ends in .tar.gz, a folder's does not.",
            )
        suffix = "_merged" if self.merged else ""
        name = f"{bake.name}_checkpoint_{bake.model.step}{suffix}"
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
    """Write the weights of a model by its name, at a step that it kept (None: the last)."""
    bake = repo.find_bake(model)
    if step is not None:
        every = repo.lineage().bakes[bake.id].models
        chosen = tuple(model for model in every if model.step == step)
        if not chosen:
            kept = ", ".join(str(model.step) for model in every)
            raise RepoError(f"{bake.name} kept no step {step}", hint=f"It kept: {kept}.")
        bake = replace(bake, models=chosen)
    return export(repo, bake, wanted, reporter)


def export(repo: ModelRepo, bake: RecordedBake, wanted: Wanted, reporter: Reporter) -> Exported:
    """Write a model's weights to a folder or an archive; nothing is overwritten without `force`."""
    if wanted.dtype != "auto" and not wanted.merged:
        raise ConfigError(
            "--dtype is for merged weights: the adapter is exported as it was recorded",
            hint="Add --merged, or leave --dtype out.",
        )
    _refuse_made_up(repo, bake)
    path, form = wanted.place(bake)
    _check_free(path, form, force=wanted.force)
    source = stored.weights(repo, bake.model)
    name = path.name
    for ending in ARCHIVE_ENDINGS:
        name = name.removesuffix(ending)
    with _draft(path) as folder:
        weights = _fill(repo, bake, source, folder / name, wanted, reporter)
        (folder / name / README).write_text(model_card.readme(weights, name), encoding="utf-8")
        made = folder / name
        if form == "tar.gz":
            reporter.note(f"packing {path.name}")
            made = folder / path.name
            pack(folder / name, made)
        digests = {
            file.name: file_digest(file)
            for file in ([made] if form == "tar.gz" else sorted(made.glob("*.safetensors")))
        }
        size = sum(f.stat().st_size for f in ([made] if made.is_file() else made.iterdir()))
        _check_free(path, form, force=wanted.force)  # it took a while: is it still as it was?
        _move(made, path)
    shown = str(path)
    for ending in ARCHIVE_ENDINGS:
        shown = shown.removesuffix(ending)
    usage = model_card.usage(weights, shown)
    if form == "tar.gz":
        usage.insert(0, ("unpack", f"tar -xzf {quote(str(path))}"))
        usage[1:] = model_card.usage(weights, name)
    return Exported(weights, path, form, size, digests, usage)


def _refuse_made_up(repo: ModelRepo, bake: RecordedBake) -> None:
    """Refuse weights that learnt what no model said, wherever in their chain."""
    chain, _ = show.ancestry(repo.lineage(), bake)
    if found := next((link for link in chain if link.backend), None):
        raise RepoError(
            f"{found.name} learnt made-up answers, of the {found.backend} backend: it must not "
            "pass for a model",
            hint="Bake it without --backend, then download that.",
        )


def pack(folder: Path, archive: Path) -> None:
    """Write a folder into a .tar.gz whose bytes do not say when and by whom it was made."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=6, fileobj=raw, mtime=0) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.GNU_FORMAT) as tar,
    ):
        for file in sorted(folder.iterdir()):
            entry = tarfile.TarInfo(f"{folder.name}/{file.name}")
            entry.size, entry.mode, entry.mtime = file.stat().st_size, 0o644, 0
            with file.open("rb") as content:
                tar.addfile(entry, content)


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
    from bakery.engine.models import adapter_folder

    base = repo.state().base
    chain, _ = show.ancestry(repo.lineage(), bake)
    folder.mkdir()
    digest = bake.digest_of(bake.model.step)
    unpacked = bases.unpacked_at(base)
    weights = Weights(
        bake.model, base, 0, digest, bake.data, None, unpacked,
        earlier=tuple(link.data for link in chain[:-1]), licence=licence.said(base),
    )  # fmt: skip
    if wanted.merged:
        weights = replace(weights, merged_as=_merge(weights, source, folder, wanted, reporter))
    else:
        for name in _ADAPTER:
            shutil.copyfile(source / name, folder / name)
        named = weights.loads_from
        rank = adapter_folder.write_config(folder, base=named, revision=base.revision)
        weights = replace(weights, rank=rank)
        for name in _RECORDED:
            if (source.parent / name).is_file():
                shutil.copyfile(source.parent / name, folder / name)
    text = recipe.new(base.name)
    for ancestor in chain:
        text = recipe.append(text, ancestor.block)
    (folder / RECIPE).write_text(text, encoding="utf-8", newline="\n")
    return weights


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

    name = defaults_for(base.id).dtype if asked == "auto" else asked
    if name == "auto":
        # That of the loaded weights was chosen here.
        config = AutoConfig.from_pretrained(base.model.name_or_path, trust_remote_code=False)
        name = str(config.dtype or torch.float32).removeprefix("torch.")
    found = getattr(torch, name)
    assert isinstance(found, torch.dtype)
    return found


def _check_free(path: Path, form: Form, *, force: bool) -> None:
    """Refuse a place that is taken; with `force` replace an export, and nothing else."""
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {path.absolute().parent}", hint="Create it first.")
    if not path.exists() and not path.is_symlink():
        return
    if not force:
        raise RepoError(f"{path} exists", hint="--force replaces it; --out names another place.")
    found = _beside_a_folder(path) if form == "folder" else _beside_an_archive(path)
    if found:
        raise RepoError(
            f"{path} is not an export, so it is not replaced: {found}",
            hint="Choose another place with --out.",
        )


def _beside_a_folder(path: Path) -> str:
    """Return what is at a place that is not, or not only, an exported folder; "": nothing."""
    if path.is_symlink() or not path.is_dir():
        return "it is a link" if path.is_symlink() else "it is a file"
    if (path / ".git").exists():
        return "it is a repository"
    try:
        bakes = recipe.parse((path / RECIPE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RepoError):
        bakes = []
    problems = [] if bakes else [f"it has no {RECIPE} with a bake"]
    foreign = [entry.name for entry in sorted(path.iterdir()) if not _is_written(entry)]
    if foreign:
        more = f" and {len(foreign) - NAMED} more" if len(foreign) > NAMED else ""
        problems.append(f"no export writes {', '.join(foreign[:NAMED])}{more}")
    return "; ".join(problems)


def _is_written(entry: Path) -> bool:
    """Tell whether an entry of a folder is one that an export writes."""
    return _is_export_name(entry.name) and entry.is_file() and not entry.is_symlink()


def _beside_an_archive(path: Path) -> str:
    """Return what is at a place that is not an exported archive; "": nothing."""
    if path.is_symlink() or not path.is_file():
        return "it is a link" if path.is_symlink() else "it is a folder"
    try:
        with tarfile.open(path, "r:gz") as tar:
            members = [Path(member.name) for member in tar if member.isfile()]
    except (OSError, EOFError, zlib.error, tarfile.TarError):
        return "it is a file of another kind"
    # All lies in one folder of the archive's name, and PEFT or transformers could load it.
    own = {member.name for member in members if len(member.parts) == 2}
    foreign = [str(m) for m in members if m.name not in own or not _is_export_name(m.name)]
    if foreign or not own & {"adapter_config.json", "config.json"}:
        return f"no export writes {', '.join(foreign[:NAMED])}" if foreign else "it holds no model"
    return ""


def _is_export_name(name: str) -> bool:
    return name in _WRITTEN or _SHARD.fullmatch(name) is not None


@contextmanager
def _draft(path: Path) -> Iterator[Path]:
    """Yield a folder beside a path; it is gone afterwards, with what was left in it."""
    try:
        with drafts.draft(path.absolute().parent, path.name) as folder:
            yield folder
    except OSError as error:
        raise StageError(
            f"the export cannot be written: {error}", hint="Is the disk full? Nothing was changed."
        ) from error


def _move(made: Path, path: Path) -> None:
    """Put an export in its place; what was there before goes only once the new is whole."""
    for file in [made] if made.is_file() else sorted(made.iterdir()):
        with file.open("rb+") as content:
            os.fsync(content.fileno())
    if path.is_dir():
        path.rename(made.with_name("replaced"))
        made.rename(path)
    else:
        made.replace(path)
    sync_folder(path.absolute().parent)
