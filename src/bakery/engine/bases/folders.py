"""Whether a model's folder is whole and what it claims to be, told before any weight is read.

Its weights by their heads (`weights`), its configuration and tokenizer as they are written. What
transformers would take for another model, or fetch as code, is refused by name.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bakery import json_file, pointers
from bakery.engine.bases import weights
from bakery.errors import ModelError
from bakery.identity import digest

CONFIG, ADAPTER = "config.json", "adapter_config.json"
CONFIG_BYTES, TOKENIZER_BYTES = 16 << 20, 256 << 20
BESIDE = ("generation_config.json", "added_tokens.json")
"""Files that say how a model speaks, and that no base's own digest is over."""
READ = (
    CONFIG, "generation_config.json", "tokenizer_config.json", "special_tokens_map.json",
    "tokenizer.json", "added_tokens.json", "vocab.json", "merges.txt", "tokenizer.model",
    "chat_template.jinja", "chat_template.json",
)  # fmt: skip
"""The files beside its weights that a model is read from."""
MOST = {
    "vocab_size": 1 << 24, "hidden_size": 1 << 20, "n_embd": 1 << 20, "d_model": 1 << 20,
    "intermediate_size": 1 << 24, "num_hidden_layers": 1 << 12, "n_layer": 1 << 12,
    "n_layers": 1 << 12, "num_attention_heads": 1 << 14, "n_head": 1 << 14,
    "num_key_value_heads": 1 << 14, "head_dim": 1 << 16, "max_position_embeddings": 1 << 31,
    "n_positions": 1 << 31, "num_experts": 1 << 14, "num_local_experts": 1 << 14,
    "n_routed_experts": 1 << 14,
}  # fmt: skip
"""Sizes in a configuration, and the most that any of them may be."""
ATTENTIONS = (
    "eager", "sdpa", "flex_attention", "flash_attention_2", "flash_attention_3",
    "flash_attention_4",
)  # fmt: skip
"""Ways to compute attention that are part of transformers, or of a package that is installed."""
SENSES = ("vision_config", "audio_config")
_ATTENTION = re.compile(r"_?(?:attn|experts)_implementation(?:_internal)?")
_MEDIA = re.compile(r"image|audio|video|vision|img|speech", re.IGNORECASE)


def check(place: Path, *, own_code: bool = False) -> None:
    """Refuse a folder that is no whole base model; reads heads and texts, no weight.

    `own_code`: whoever asks for it trusts the code that the folder may have.
    """
    config = described(place)
    if not own_code:
        _refuse_own_code(place, config)
    found = weights.of_folder(place)
    _check_sizes(place, config)
    if not any(key in config for key in SENSES):  # those are refused by that when they are loaded
        weights.check_complete(str(place), found, config)
        _check_room(place, config, sum(tensor.stop - tensor.start for tensor in found.values()))


def check_all(place: Path) -> None:
    """Refuse a folder that is no whole base model: its tokenizer and every weight, too."""
    check(place)
    rows = _inner(read(place / CONFIG)).get("vocab_size")
    if isinstance(rows, int):
        refuse_beyond(str(place), _tokens(place), rows)
    weights.check_finite(str(place), weights.of_folder(place))


def described(place: Path) -> Mapping[str, Any]:
    """Return a folder's configuration; ModelError where a file of it cannot be what it is for."""
    for name in READ:
        if pointers.lies_at(place / name):
            raise weights.pointer(place / name)
    if (place / ADAPTER).is_file():
        raise adapter(place)
    config = read(place / CONFIG)
    if not isinstance(config.get("model_type"), str) or not config["model_type"]:
        raise ModelError(
            f"{place / CONFIG} names no model_type, so nobody can tell what model it is",
            hint="Fetch the model's own config.json again.",
        )
    for name in READ[1:4]:
        if (place / name).is_file():
            read(place / name)
    _refuse_no_text(place / "chat_template.jinja")
    _refuse_fetched(place / CONFIG, config)
    weighed = config.get("transformers_weights")
    if weighed not in (None, weights.ONE, weights.INDEX):
        raise ModelError(
            f"{place / CONFIG} takes its weights from {weighed!r:.80}: that is not read"
        )
    return config


def beside(place: Path) -> str:
    """Return a digest of the ends of turns and the tokens that `BESIDE` name; "": of a file."""
    if not place.is_dir():  # it holds all, and its own digest is over all
        return ""
    ends, tokens = ((read(place / name) if (place / name).is_file() else {}) for name in BESIDE)
    return digest({"ends": ends.get("eos_token_id"), "tokens": tokens})


def adapter(place: Path) -> ModelError:
    """Return what to say of a folder that holds an adapter."""
    base = ""
    with contextlib.suppress(ModelError):  # whatever it says, it is one
        base = str(read(place / ADAPTER).get("base_model_name_or_path") or "")
    if (place / CONFIG).is_file():
        return ModelError(
            f"{place} holds an adapter beside a model ({ADAPTER}): it would be put on unasked",
            hint="Move the adapter's files to a folder of their own.",
        )
    return ModelError(
        f"{place} is an adapter" + (f" on {base}" if base else "") + ", not a base model",
        hint="Give its base; or a whole model of both: `bgit download --merged` makes one of a "
        "bake, PEFT's merge_and_unload of any other.",
    )


def read(path: Path) -> dict[str, Any]:
    """Return the JSON object of a model's file, or say what the file is instead."""
    try:
        data = json_file.read_bytes(path, most=CONFIG_BYTES)
        if pointers.is_pointer(data):
            raise weights.pointer(path)
        # Not strict: a state space model may have Infinity for its largest time step.
        found = json_file.as_object(json_file.parse(data, strict=False))
        if b"NaN" in data and _has_nan(found):
            raise json_file.DamagedError("it has NaN for a number")
    except json_file.DamagedError as error:
        raise ModelError(
            f"{path} is damaged: {error}", hint="Fetch the file of the model again."
        ) from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from error
    return found


def _has_nan(value: Any) -> bool:
    if isinstance(value, dict | list):
        return any(map(_has_nan, value.values() if isinstance(value, dict) else value))
    return bool(value != value)


def _refuse_no_text(path: Path) -> None:
    if not path.is_file():  # it may lie in tokenizer_config.json
        return
    try:
        path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is not text in UTF-8 (byte {error.start})") from error


def _inner(config: Mapping[str, Any]) -> Mapping[str, Any]:
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, dict) else config


def _check_sizes(place: Path, config: Mapping[str, Any]) -> None:
    """Refuse sizes that no model has."""
    said = _inner(config)
    for key, most in MOST.items():
        values = said[key] if isinstance(said.get(key), list) else [said.get(key)]
        for value in values:
            if value is not None and (type(value) is not int or not 0 <= value <= most):
                raise ModelError(
                    f"{place / CONFIG} says {key} {value!r:.40}: a number up to {most:,} is read",
                    hint="Fetch the model's own config.json again.",
                )


def _check_room(place: Path, config: Mapping[str, Any], stored: int) -> None:
    """Refuse sizes that so many bytes of weights cannot be of."""
    said = _inner(config)
    width = said.get("hidden_size")
    for key in ("vocab_size", "intermediate_size", "num_attention_heads"):
        rows = said.get(key)
        # Four bits are the least that a weight is stored in.
        if isinstance(rows, int) and isinstance(width, int) and rows * width > 2 * stored:
            raise ModelError(
                f"{place / CONFIG} says {key} {rows:,} and hidden_size {width:,}, and there are "
                f"{stored:,} bytes of weights in all",
                hint="Fetch the model's own config.json again.",
            )


def _refuse_fetched(path: Path, config: Mapping[str, Any]) -> None:
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key, value in part.items():
            if _ATTENTION.fullmatch(key):
                refuse_kernel(str(path), value)


def refuse_kernel(name: str, asked: Any) -> None:
    """Refuse a model that wants its attention computed by what transformers would fetch."""
    for value in asked.values() if isinstance(asked, dict) else [asked]:
        if isinstance(value, str) and ("/" in value or ":" in value):
            raise ModelError(
                f"{name} asks for {value!r:.80} to compute with, which is native code of the hub: "
                "it is never fetched",
                hint=f"Take it out of {CONFIG}, or write one of: {', '.join(ATTENTIONS)}.",
            )


def _refuse_own_code(place: Path, config: Mapping[str, Any]) -> None:
    """Refuse a model that is code of its own, unless transformers has taken that code over."""
    own = config.get("auto_map")
    if not own:
        return
    # Here, as it takes seconds: few models have code of their own.
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    known = {
        "AutoConfig": CONFIG_MAPPING_NAMES.get(config["model_type"]),
        "AutoModelForCausalLM": MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.get(config["model_type"]),
    }
    for key, theirs in known.items():
        asked = own.get(key) if isinstance(own, dict) else own
        if asked is not None and str(asked).rpartition(".")[2] != theirs:
            raise ModelError(
                f"{place / CONFIG} names code of its own, {asked!s:.80}, which is not run",
                hint="Take a model that transformers knows by itself; the `bakery` door runs such "
                "code where its YAML says `trust_remote_code: true`.",
            )


def _tokens(place: Path) -> Iterator[tuple[int, str]]:
    """Yield id and text of every token that the files of a tokenizer name."""
    path = place / "tokenizer.json"
    if path.is_file():
        from tokenizers import Tokenizer  # here: only a new repository asks

        try:
            if path.stat().st_size > TOKENIZER_BYTES:
                raise ValueError(f"it is larger than {TOKENIZER_BYTES >> 20} MiB")
            found = Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
        except Exception as error:  # its reader raises nothing more special
            raise ModelError(
                f"{path} is not a tokenizer: {error}", hint="Fetch the file of the model again."
            ) from error
        yield from ((number, text) for text, number in found.items())
    if (place / "tokenizer_config.json").is_file():
        named = read(place / "tokenizer_config.json").get("added_tokens_decoder")
        for key, entry in named.items() if isinstance(named, dict) else ():
            if str(key).isascii() and str(key).isdigit() and isinstance(entry, dict):
                yield int(key), str(entry.get("content"))


def added_tokens(tokenizer: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield id and text of the tokens that a tokenizer.json has beside its vocabulary."""
    added = tokenizer.get("added_tokens")
    for entry in added if isinstance(added, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("id"), int):
            yield entry["id"], str(entry.get("content"))


def refuse_beyond(name: str, tokens: Iterator[tuple[int, str]], rows: int) -> None:
    """Refuse a tokenizer with tokens that a model has no embeddings for.

    Places for pictures and sounds are passed over: text models have such tokens left of a larger
    one's, and no text of a chat holds them.
    """
    for number, text in tokens:
        if number >= rows and not _MEDIA.search(text):
            raise ModelError(
                f"the tokenizer of {name or 'this model'} has the token {text} (id {number}), and "
                f"the model {rows} embeddings",
                hint="Give the model its own tokenizer, or resize the model's embeddings and save "
                "both: model.resize_token_embeddings(len(tokenizer)).",
            )
