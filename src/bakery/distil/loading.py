"""From a DataConfig to a model with its tokenizer, and the adapter that is trained on it.

What only some need (4 bits, Unsloth) is imported when it is asked for; where it is missing that is
said before any weight is read. Nothing is ever installed.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import peft
import torch
from peft import PeftModel
from transformers import PreTrainedModel

from bakery.engine.bases import bases, folders
from bakery.engine.bases.gguf import kept
from bakery.engine.models.adapters import peft_on_new_transformers
from bakery.engine.models.models import Source
from bakery.engine.training import needs
from bakery.errors import ConfigError
from bakery.paths import expanded
from bakery.reporting import Reporter
from bakery.settings.config import BakeryConfig, DataConfig, LoraConfig

INSTALL = {
    "bitsandbytes": ("load_in_4bit", "pip install bitsandbytes"),
    "unsloth": ("use_unsloth", "pip install unsloth"),
    "liger_kernel": ("use_liger_kernel", "pip install liger-kernel"),
}


def find(data: DataConfig, *, reporter: Reporter | None = None) -> Source:
    """Return where the configured model lies, downloading or unpacking it where that is needed.

    `reporter` None: nobody is told of the unpacking.
    """
    name = data.model_name_or_path
    options: dict[str, Any] = {"trust_remote_code": data.trust_remote_code}
    on_hub = _on_hub(name)
    if on_hub and data.trust_remote_code:
        # The model's own code is fetched by transformers, which knows which files that takes.
        return Source(name, name, options | {"revision": data.revision or "main"})
    place, _ = bases.locate(name, data.revision or "")
    if place.is_file():
        found = kept.unpacked(place, bases.content_digest(place), reporter=reporter)
        return Source(str(place), str(found.folder), options, found.made)
    folders.check(place, own_code=data.trust_remote_code)
    return Source(name if on_hub else str(place), str(place), options)


def _on_hub(name: str) -> bool:
    embedded = name in (*bases.ALIASES, bases.EMBEDDED)
    return not (embedded or name.endswith(bases.GGUF) or bases.is_here(name))


def check_optional(data: DataConfig, training: BakeryConfig) -> None:
    """Refuse what this machine lacks, and a GGUF file that cannot be read, before all else."""
    name = data.model_name_or_path
    if bases.is_here(name) and (path := expanded(name)).is_file():
        bases.check_file(path)
    wanted = {
        "bitsandbytes": data.load_in_4bit,
        "unsloth": data.use_unsloth,
        "liger_kernel": training.use_liger_kernel,
    }
    for package, is_wanted in wanted.items():
        setting, command = INSTALL[package]
        if not is_wanted:
            continue
        if importlib.util.find_spec(package) is None:
            raise ConfigError(f"{setting} needs {package}, which is not installed", hint=command)
        if training.device.type == "cpu":
            raise ConfigError(f"{setting} needs a GPU", hint="Take it out to train on the CPU.")
    if training.fp16 and training.device.type == "cpu":
        raise ConfigError("fp16 needs a GPU", hint="On a CPU give bf16: true, or neither.")
    if training.merge and data.load_in_4bit:
        raise ConfigError(
            "merge cannot merge into 4-bit weights",
            hint="Load the adapter in final_model on the unquantised model, and merge there.",
        )


def load(source: Source, data: DataConfig, training: BakeryConfig) -> PreTrainedModel:
    """Return the frozen model in eval mode, on this process's device."""
    if data.use_unsloth:
        source.config()  # refuses what is no language model
        return _with_unsloth(source, data, training)
    more = {}
    if data.load_in_4bit:
        more = {"quantization_config": _four_bits(data), "device_map": {"": training.device}}
    placed_elsewhere = data.load_in_4bit or training.in_parts
    return source.model(
        dtype=data.torch_dtype,
        attention=needs.attention(data.attn_implementation),
        device=None if placed_elsewhere else training.device,
        more=more,
    )


@peft_on_new_transformers()
def with_adapter(
    model: PreTrainedModel,
    lora: LoraConfig,
    source: Source,
    data: DataConfig,
    training: BakeryConfig,
) -> PeftModel:
    """Put a fresh adapter on the model. The seed is set here: same settings, same start."""
    torch.manual_seed(training.seed)
    checkpointing = bool(training.gradient_checkpointing)
    try:
        if data.use_unsloth:
            return _unsloth_adapter(model, lora, training)
        if data.load_in_4bit:
            model = peft.prepare_model_for_kbit_training(
                model, use_gradient_checkpointing=checkpointing
            )
        elif checkpointing:
            model.enable_input_require_grads()
        made = peft.get_peft_model(model, lora_config(lora, data))
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"LoRA cannot be placed: {error}",
            hint="Check target_modules; `all` takes every linear layer but the head.",
        ) from error
    assert isinstance(made, PeftModel)
    # PEFT would name the folder that the weights were read from, which may be a cache.
    made.active_peft_config.base_model_name_or_path = source.loads_from
    return made


def lora_config(lora: LoraConfig, data: DataConfig) -> peft.LoraConfig:
    """Return PEFT's own configuration of the adapter."""
    return peft.LoraConfig(**vars(lora), task_type="CAUSAL_LM", revision=data.revision)


def _dtype(name: str) -> Any:
    return name if name == "auto" else getattr(torch, name)


def _four_bits(data: DataConfig) -> Any:
    from transformers import BitsAndBytesConfig

    computing = torch.bfloat16 if data.torch_dtype == "auto" else _dtype(data.torch_dtype)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=data.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=data.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=computing,
    )


def _with_unsloth(source: Source, data: DataConfig, training: BakeryConfig) -> Any:
    model, _ = _unsloth().FastLanguageModel.from_pretrained(
        model_name=source.files,
        max_seq_length=training.max_seq_length or 4096,
        dtype=None if data.torch_dtype == "auto" else _dtype(data.torch_dtype),
        load_in_4bit=data.load_in_4bit,
        trust_remote_code=data.trust_remote_code,
    )
    return model


def _unsloth_adapter(model: Any, lora: LoraConfig, training: BakeryConfig) -> PeftModel:
    made: PeftModel = _unsloth().FastLanguageModel.get_peft_model(
        model,
        **vars(lora),
        use_gradient_checkpointing=bool(training.gradient_checkpointing),
        random_state=training.seed,
    )
    return made


def _unsloth() -> Any:
    return importlib.import_module("unsloth")
