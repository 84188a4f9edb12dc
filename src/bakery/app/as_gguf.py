"""A model's weights as GGUF, verified, and the Modelfile that Ollama reads: the files of a folder.

Without `merged` it is the LoRA alone, for a base that is a GGUF file already or becomes one.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.app import probed
from bakery.app.launching import ADAPTER, BASE, MODEL, MODELFILE, VERIFIED, InGguf
from bakery.defaults import defaults_for
from bakery.errors import ConfigError, ModelError
from bakery.identity import BaseModelId, file_digest
from bakery.reporting import Reporter
from bakery.store.results import PROBES

if TYPE_CHECKING:
    from bakery.engine.export.gguf.storage import Storage
    from bakery.engine.export.gguf.verifying import Verified
    from bakery.engine.models.models import BaseModel

SHORT = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
"""What the format calls a dtype."""
STORED = ("f32", "bf16", "f16", "q8_0")
MOST_ASKED = 8
"""Probes of a bake that are asked again."""


def check(dtype: str, *, is_lora: bool) -> None:
    """Refuse what cannot be written, before anything is loaded."""
    from bakery.engine.bases.gguf import refused

    if dtype not in ("auto", *SHORT, *STORED):
        raise ConfigError(f"dtype is auto, {', '.join(STORED)}, not {dtype!r:.40}")
    if is_lora and dtype == "q8_0":
        raise ConfigError(
            "a LoRA is not stored as q8_0: its rows are as short as its rank",
            hint="Leave --dtype out, or add --merged for the whole model in q8_0.",
        )
    if importlib.util.find_spec("gguf") is None:
        raise ModelError(
            "GGUF needs the package gguf, which is not installed", hint=refused.INSTALL
        )


def lora(
    base_id: BaseModelId, source: Path, folder: Path, *, dtype: str, name: str, reporter: Reporter,
    licence: str | None = None, loaded: BaseModel | None = None,
) -> InGguf:  # fmt: skip
    """Write the adapter of a folder of the store as a LoRA, with its Modelfile.

    `loaded`: the base in float32, which is not used again; None: it is loaded here.
    """
    from bakery.engine.export.gguf import exporting, storage

    own = None if loaded is not None else _own_file(base_id)
    base = loaded or _loaded(base_id, reporter)
    kind = storage.KINDS["f32" if dtype == "auto" else SHORT.get(dtype, dtype)]
    path = folder / ADAPTER
    found = exporting.adapter(
        base, source, path, kind, about=_about(name, licence), prompts=_prompts(source, reporter),
        reporter=reporter,
    )  # fmt: skip
    file = None if own is None else str(own)
    adds = None if own is None else _adds_beginning(own)
    notes = _modelfile(base, folder, source=file or f"../{BASE}/{MODEL}",
                       adapter=f"./{ADAPTER}", licence=licence, adds_beginning=adds)  # fmt: skip
    return _told(found, path, kind.name.lower(), notes, base_file=file)


def whole(
    base_id: BaseModelId, source: Path | None, folder: Path, *, dtype: str, name: str,
    reporter: Reporter, licence: str | None = None, loaded: BaseModel | None = None,
) -> InGguf:  # fmt: skip
    """Write a base with an adapter in its weights (None: the base alone), with its Modelfile.

    `loaded`: the base in float32, which is not used again; None: it is loaded here.
    """
    from bakery.engine.export.gguf import exporting, storage

    base = loaded or _loaded(base_id, reporter)
    stored = storage.of("f32") if dtype == "auto" and loaded else _storage(base, dtype)
    path = folder / MODEL
    found = exporting.model(
        base, source, path, stored, about=_about(name, licence),
        prompts=_prompts(source, reporter) if source else (), reporter=reporter,
    )  # fmt: skip
    notes = _modelfile(base, folder, source=f"./{MODEL}", licence=licence)
    return _told(found, path, stored.name, notes)


def _loaded(base: BaseModelId, reporter: Reporter) -> BaseModel:
    from bakery.engine.export.gguf import writing
    from bakery.engine.models import models

    source = models.source_of(base, reporter=reporter)
    writing.check(source.config(), source.chat())  # before a weight is read
    reporter.note(f"loading {base.name} in float32")
    return models.load(base, dtype="float32", reporter=reporter)


def _storage(base: BaseModel, dtype: str) -> Storage:
    """Return how weights are stored: by default as the base's own file has them, or as it runs."""
    from transformers import AutoConfig

    from bakery.engine.export.gguf import storage

    if dtype == "auto" and (file := _own_file(base.id)) is not None:
        return storage.of_file(file)
    if dtype == "auto":
        dtype = defaults_for(base.id).dtype
    if dtype == "auto":  # that of the loaded weights was chosen here
        config = AutoConfig.from_pretrained(base.model.name_or_path, trust_remote_code=False)
        dtype = str(config.dtype or "float32").removeprefix("torch.")
    return storage.of(SHORT.get(dtype, dtype))


def _own_file(base: BaseModelId) -> Path | None:
    """Return the GGUF file that a base is; None: it is none."""
    from bakery.engine.bases import bases

    place, _ = bases.locate(base.name, base.revision)
    return place.absolute() if place.is_file() else None


def _about(name: str, licence: str | None) -> dict[str, str]:
    return {"name": name, **({"license": licence} if licence else {})}


def _prompts(source: Path, reporter: Reporter) -> Sequence[Sequence[int]]:
    """Return the questions of a bake's probes, as ids; none where it has none."""
    path = source.parent / PROBES
    if not path.is_file():
        return ()
    try:
        return [one.prefix for one in probed.read(path)[:MOST_ASKED]]
    except ModelError as error:
        reporter.note(f"{error.message}: the file is verified on other questions")
        return ()


def _adds_beginning(file: Path) -> bool:
    """Tell whether a base's own file has llama.cpp write the token that a text begins with."""
    from bakery.engine.bases.gguf import header

    said = header.read(file).metadata
    otherwise = said.get("tokenizer.ggml.model") == "llama" or str(
        said.get("tokenizer.ggml.pre")
    ).startswith("llama")
    return bool(said.get("tokenizer.ggml.add_bos_token", otherwise))


def _modelfile(base: BaseModel, folder: Path, **how: Any) -> tuple[str, ...]:
    """Write the Modelfile; return what a person has to know of it."""
    from bakery.engine.export.ollama import modelfile

    made = modelfile.write(base, **how)
    (folder / MODELFILE).write_text(made.text, encoding="utf-8", newline="\n")
    return made.notes


def _told(
    found: Verified, path: Path, stored: str, notes: Sequence[str], base_file: str | None = None
) -> InGguf:
    """Keep beside a file how near it came; return what is to be said of it."""
    said = {"schema": found.as_data()["schema"], "file": path.name, "sha256": file_digest(path),
            **found.as_data()}  # fmt: skip
    text = json.dumps(said, indent=2, ensure_ascii=False)
    (path.parent / VERIFIED).write_text(text + "\n", encoding="utf-8", newline="\n")
    return InGguf(path.name, stored, said, (*found.notes, *notes), base_file)
