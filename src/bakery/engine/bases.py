"""Which base model is meant, and is it still the one that was recorded.

Finds files and hashes them; never loads a tensor, so `bgit init` needs no torch.
"""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path

from bakery.errors import ModelError
from bakery.identity import BaseModelId, digest, file_digest

EMBEDDED = "tiny-1"
ALIASES = {"tiny": EMBEDDED}

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
    """Return name, revision and content digest of a hub id, a local folder, or `tiny`.

    Raises ModelError when there is nothing there, or not a chat model in safetensors.
    """
    name = ALIASES.get(reference, reference)
    folder, found = locate(name, revision)
    if revision and not found:
        raise ModelError(
            f"{reference} lies on this machine: it has no revision {revision}",
            hint="Revisions are of models on the hub. A folder is known by its content alone.",
        )
    if name != EMBEDDED and folder == Path(name).expanduser().resolve():
        name = str(folder)  # a relative path would mean another model in another folder
    family, hidden_size = shape(folder)
    return BaseModelId(name, found, content_digest(folder), family, hidden_size)


def split(reference: str) -> tuple[str, str]:
    """Return name and revision ("" where it has none) of a reference like `org/model@v1`."""
    name, at, revision = reference.rpartition("@")
    is_folder = Path(reference).expanduser().is_dir()
    return (reference, "") if not at or is_folder else (name, revision)


def locate(name: str, revision: str = "") -> tuple[Path, str]:
    """Return the folder that holds a base model's files, and its revision ("" if local)."""
    name = ALIASES.get(name, name)
    if name == EMBEDDED:
        return Path(str(resources.files("bakery"))) / "tiny", ""
    path = Path(name).expanduser()
    if path.is_dir():
        return path.resolve(), ""
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(
            f"no base model in the folder {name}",
            hint="Give a folder with config.json, or a hub id like Qwen/Qwen3-0.6B. Where the base "
            "was moved, write its new place as base_model in .bread: its content is checked.",
        )
    return _from_hub(name, revision)


def content_digest(folder: Path) -> str:
    """Return one digest over configuration, weights, tokenizer and chat template."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} holds no config.json: not a model folder")
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        raise ModelError(
            f"{folder} holds no *.safetensors weights",
            hint="Only safetensors are read: other formats can run code.",
        )
    files = [folder / name for name in _CONTENT if (folder / name).is_file()]
    return digest({path.name: _content(path) for path in (*files, *weights)})


def shape(folder: Path) -> tuple[str, int]:
    """Return a model's type and how wide its layers are ("" and 0 where its files do not say)."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return "", 0
    if not isinstance(config, dict):
        return "", 0
    inner = config.get("text_config")
    parts = [config, inner] if isinstance(inner, dict) else [config]
    widths = [part.get(key) for part in parts for key in _WIDTHS]
    found = [width for width in widths if isinstance(width, int) and width > 0]
    return str(config.get("model_type") or ""), found[0] if found else 0


def check(base: BaseModelId) -> Path:
    """Return the folder of a recorded base model, or say that it is no longer that model."""
    folder, _ = locate(base.name, base.revision)
    found = content_digest(folder)
    if found != base.digest:
        raise ModelError(
            f"base model {base.name} has changed: its digest is {found[:16]}, "
            f"the repository was made with {base.digest[:16]}",
            hint="Bakes only fit the base they were made on. Restore its weights, tokenizer and "
            "chat template, or `bgit init` a new repository on the new base.",
        )
    return folder


def _content(path: Path) -> str:
    """Return a file's SHA-256; the hub's cache names its large files by it already."""
    target = path.resolve().name if path.is_symlink() else ""
    if _BLOB.fullmatch(target):
        return target
    if path.name == "config.json":
        # Which library version wrote the file does not change the model.
        data = json.loads(path.read_text(encoding="utf-8"))
        data.pop("transformers_version", None)
        return digest(data)
    return file_digest(path)


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
            hint="Check the name and the network, or give a local folder; `tiny` needs neither.",
        ) from error
    return folder, folder.name
