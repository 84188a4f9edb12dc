"""Which base model is meant, and is it still the one that was recorded.

Finds files, reads their headers and hashes them; never loads a tensor, so `bgit init` needs no
torch.
"""

from __future__ import annotations

import math
import re
from importlib import resources
from pathlib import Path
from typing import Any

from bakery import pointers
from bakery.engine.bases import folders, hashed, weights
from bakery.engine.bases.gguf import header, kept, refused
from bakery.errors import ModelError
from bakery.identity import BaseModelId, digest, file_digest
from bakery.paths import expanded

EMBEDDED = "tiny-1"
ALIASES = {"tiny": EMBEDDED}
GGUF = ".gguf"

_CONTENT = (
    "config.json",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "special_tokens_map.json",
)
_WIDTHS = ("hidden_size", "n_embd", "d_model", "dim")
"""What configurations call how wide layers are."""
_BLOB = re.compile(r"[0-9a-f]{64}")


def identify(reference: str, revision: str = "") -> BaseModelId:
    """Return name, revision and content digest of a hub id, a folder, a GGUF file, or `tiny`.

    Raises ModelError when there is nothing there, or not a chat model in safetensors or GGUF.
    """
    name = ALIASES.get(reference, reference)
    place, found = locate(name, revision)
    if revision and not found:
        raise ModelError(
            f"{reference} lies on this machine: it has no revision {revision}",
            hint="Revisions are of models on the hub. A folder is known by its content alone.",
        )
    if name != EMBEDDED and place == _local(name):
        name = str(place)  # a relative path would mean another model in another folder
    if place.is_file():
        check_file(place)
    elif _files(place) and name != EMBEDDED:  # what comes with bakery is tested with it
        folders.check_all(place)
    family, hidden_size = shape(place)
    return BaseModelId(
        name, found, content_digest(place), family, hidden_size, folders.beside(place)
    )


def check_file(path: Path) -> header.Header:
    """Return the header of a GGUF file that can be a base, or say why it cannot."""
    found = header.read(path)
    refused.check(found)
    refused.check_reader(path.name)
    return found


def split(reference: str) -> tuple[str, str]:
    """Return name and revision ("" where it has none) of a reference like `org/model@v1`."""
    name, at, revision = reference.rpartition("@")
    is_path = reference.endswith(GGUF) or is_here(reference)
    return (reference, "") if not at or is_path else (name, revision)


def locate(name: str, revision: str = "") -> tuple[Path, str]:
    """Return the folder or GGUF file that holds a base model, and its revision ("" if local)."""
    name = ALIASES.get(name, name)
    if name == EMBEDDED:
        return Path(str(resources.files("bakery"))) / "tiny", ""
    if is_here(name):
        return _local(name), ""
    is_file = name.endswith(GGUF)
    if is_file or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(
            f"there is no file {name}" if is_file else f"no base model in the folder {name}",
            hint=_unpacked_there(name)
            or "Give a folder with config.json, a .gguf file, or a hub id like Qwen/Qwen3-0.6B. "
            "Where the base was moved, write its new place as base_model in .bread: its content is "
            "checked. A student's base that was moved needs a link in its former place.",
        )
    return _from_hub(name, revision)


def is_here(name: str | Path) -> bool:
    """Tell whether a name is that of a folder or a file, and so not a hub id."""
    try:
        path = expanded(name)
        return path.is_dir() or path.is_file()
    except (OSError, RuntimeError, ValueError):  # too long, a home of somebody unknown, a NUL
        return False


def unpacked_at(base: BaseModelId) -> str | None:
    """Return the folder that a GGUF file is unpacked into; None: it is another kind of base."""
    path = Path(base.name)
    is_file = base.name.endswith(GGUF) or (path.is_absolute() and path.is_file())
    return str(kept.place(base.digest)) if is_file else None


def coming(base: BaseModelId) -> str | None:
    """Return what the first use of a base will make of it; None: it is used as it is."""
    folder = unpacked_at(base)
    if folder is None:
        return None
    found = header.read(Path(base.name))
    doing = "de-quantised" if found.is_quantised else "unpacked"
    return (
        f"{Path(base.name).name} ({found.stored}) is {doing} to {found.dtype} when it is first "
        f"loaded: {found.unpacked_bytes / 1e9:.2g} GB in {folder}, for all your repositories"
    )


def content_digest(place: Path) -> str:
    """Return one digest over configuration, weights, tokenizer and chat template.

    A GGUF file holds all of them: it is its SHA-256.
    """
    if place.is_file():
        return _content(place)
    return digest({path.name: _content(path) for path in _files(place)})


def shape(place: Path) -> tuple[str, int]:
    """Return a model's type and how wide its layers are ("" and 0 where its files do not say)."""
    if place.is_file():
        found = header.read(place)
        width = found.of_model("embedding_length")
        return found.architecture, width if isinstance(width, int) else 0
    try:
        config = folders.read(place / folders.CONFIG)
    except ModelError:
        return "", 0
    inner = config.get("text_config")
    parts = [config, inner] if isinstance(inner, dict) else [config]
    widths = [part.get(key) for part in parts for key in _WIDTHS]
    width = next((width for width in widths if isinstance(width, int) and width > 0), 0)
    return str(config.get("model_type") or ""), width


def check(base: BaseModelId) -> Path:
    """Return the folder or file of a recorded base, or say that it is no longer that model."""
    place, _ = locate(base.name, base.revision)
    found = content_digest(place)
    if found != base.digest:
        raise ModelError(
            f"base model {base.name} has changed: its digest is {found[:16]}, "
            f"the repository was made with {base.digest[:16]}",
            hint="Bakes only fit the base they were made on. Restore its weights, tokenizer and "
            "chat template, or `bgit init` a new repository on the new base.",
        )
    if place.is_dir():
        folders.check(place)
        _check_beside(place, base)
    return place


def _check_beside(place: Path, base: BaseModelId) -> None:
    if base.beside and folders.beside(place) != base.beside:
        raise ModelError(
            f"base model {base.name} has changed: {' or '.join(folders.BESIDE)} is not what it was "
            "when the repository was made",
            hint="Bakes learnt where turns end from the old one. Restore the file, or `bgit init` "
            "a new repository.",
        )


def _files(place: Path) -> list[Path]:
    """Return the files that a folder's digest is of; ModelError where it is no model's."""
    if (place / folders.ADAPTER).is_file():
        raise folders.adapter(place)
    if not (place / folders.CONFIG).is_file():
        files = sorted(place.glob(f"*{GGUF}"))
        raise ModelError(
            f"{place} holds no config.json: not a model folder",
            hint=f"Give one of its files: {', '.join(map(str, files[:3]))}"
            if files
            else "Give a folder with config.json and *.safetensors, or a .gguf file.",
        )
    tensors = sorted(place.glob("*.safetensors"))
    if not tensors:
        raise ModelError(
            f"{place} holds no *.safetensors weights",
            hint="Only safetensors and GGUF files are read: other formats can run code.",
        )
    if strange := [path for path in tensors if not path.is_file()]:
        raise ModelError(f"{strange[0]} is a folder, a pipe or a device, or leads nowhere")
    files = [place / name for name in _CONTENT if (place / name).is_file()]
    return [*files, *tensors]


def _local(name: str) -> Path:
    """Return where a path leads; a file keeps its own name, as a cache links to others."""
    path = expanded(name)
    return path.parent.resolve() / path.name if path.is_file() else path.resolve()


def _unpacked_there(name: str) -> str | None:
    """Return what to do where a folder is gone that a GGUF file was unpacked into."""
    if Path(name).parent != kept.root():
        return None
    return "It is made from a GGUF file when that is loaded: give the file itself."


def _content(path: Path) -> str:
    """Return a file's SHA-256; those that the hub's cache names by it are hashed once."""
    if pointers.lies_at(path):
        raise weights.pointer(path)
    target = path.resolve() if path.is_symlink() else path
    if target.parent.name == "blobs" and path.is_symlink() and _BLOB.fullmatch(target.name):
        return hashed.digest(target)
    if path.name == folders.CONFIG:
        # Which library version wrote the file does not change the model.
        data = folders.read(path)
        data.pop("transformers_version", None)
        return digest(_finite(data))
    return file_digest(path)


def _finite(value: Any) -> Any:
    """Return a value of JSON with infinity spelt as newer transformers write it."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and math.isinf(value):
        return {"__float__": "Infinity" if value > 0 else "-Infinity"}
    return value


def _from_hub(name: str, revision: str) -> tuple[Path, str]:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils import HFValidationError

    patterns = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model", "merges.txt"]
    try:
        folder = Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except HFValidationError as error:
        raise ModelError(f"{name!r} is neither a folder nor a hub id: {error}") from error
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"base model {name} cannot be fetched from the hub: {reason}",
            hint="Check the name and the network, or give a local model; `tiny` needs neither.",
        ) from error
    return folder, folder.name
