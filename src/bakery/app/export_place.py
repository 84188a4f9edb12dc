"""Where an export goes: a place that is free, filled in one move, and packed where that is asked.

Made beside its place and renamed into it, so nobody ever sees half of one.
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bakery.app.launching import ADAPTER, MODEL, MODELFILE, VERIFIED
from bakery.app.model_card import Form
from bakery.errors import ConfigError, RepoError, StageError
from bakery.records import sync_folder
from bakery.repo.files import recipe
from bakery.repo.files.names import RECIPE
from bakery.store import drafts
from bakery.store.results import METRICS, PROBES, RESULT, WEIGHTS

README = "README.md"
ARCHIVE_ENDINGS = (".tar.gz", ".tgz")
RECORDED = (RESULT, METRICS, PROBES)
OF_ADAPTER = (WEIGHTS, "slices.json")
_MERGED = (
    "config.json", "generation_config.json", "model.safetensors", "model.safetensors.index.json",
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt", "tokenizer.model",
    "spiece.model", "sentencepiece.bpe.model",
)  # fmt: skip
_GGUF = (MODEL, ADAPTER, MODELFILE, VERIFIED)
_WRITTEN = frozenset(
    (README, RECIPE, "adapter_config.json", *OF_ADAPTER, *RECORDED, *_MERGED, *_GGUF)
)
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")

NAMED = 5
"""How many files of others a refusal names."""


def check_free(path: Path, form: Form, *, force: bool) -> None:
    """Refuse a place that is taken; with `force` replace an export, and nothing else."""
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {path.absolute().parent}", hint="Create it first.")
    if not path.exists() and not path.is_symlink():
        return
    if not force:
        raise RepoError(f"{path} exists", hint="--force replaces it; --out names another place.")
    found = _beside_an_archive(path) if form == "tar.gz" else _beside_a_folder(path)
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
    return is_export_name(entry.name) and entry.is_file() and not entry.is_symlink()


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
    foreign = [str(m) for m in members if m.name not in own or not is_export_name(m.name)]
    if foreign or not own & {"adapter_config.json", "config.json"}:
        return f"no export writes {', '.join(foreign[:NAMED])}" if foreign else "it holds no model"
    return ""


def is_export_name(name: str) -> bool:
    """Tell whether an export may have a file of that name."""
    return name in _WRITTEN or _SHARD.fullmatch(name) is not None


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Yield a folder beside a path; it is gone afterwards, with what was left in it."""
    try:
        with drafts.draft(path.absolute().parent, path.name) as folder:
            yield folder
    except OSError as error:
        raise StageError(
            f"the export cannot be written: {error}", hint="Is the disk full? Nothing was changed."
        ) from error


def move(made: Path, path: Path) -> None:
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
