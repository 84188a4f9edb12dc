"""Whatever a trainer is given as its model → the student: a PEFT model with its tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import peft
import torch
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bakery.distil import loading
from bakery.distil.settings import settled
from bakery.engine.models import loaded
from bakery.engine.models.adapters import check_can_teach
from bakery.engine.models.models import Source
from bakery.errors import ConfigError
from bakery.settings.config import BakeryConfig, DataConfig, LoraConfig

WANTED = "ContextBakingTrainer needs a model: a PEFT model, a PreTrainedModel, or a name"


def of(
    model: Any,
    args: BakeryConfig,
    tokenizer: PreTrainedTokenizerBase | None,
    peft_config: peft.PeftConfig | LoraConfig | None,
) -> tuple[PeftModel, PreTrainedTokenizerBase]:
    """Return the student and its tokenizer; a name is loaded, and an adapter put on what has none.

    `peft_config` None: an adapter of the size that the base's defaults say. Raises ConfigError
    where an adapter cannot learn here, or where two are given.
    """
    if isinstance(model, str | Path):
        data = DataConfig(model_name_or_path=str(model))
        source = loading.find(data)
        tokenizer = tokenizer or source.tokenizer()
        model = loading.load(source, data, args)
    elif isinstance(model, PreTrainedModel):
        loaded.check_finite(model.name_or_path, model)
        source = Source(model.name_or_path, model.name_or_path)
    elif not isinstance(model, PeftModel):
        raise ConfigError(
            WANTED, hint='A hub id or folder is loaded: ContextBakingTrainer(model="Qwen/...").'
        )
    if tokenizer is None:
        raise ConfigError("ContextBakingTrainer needs processing_class=tokenizer")
    if isinstance(model, PeftModel):
        if peft_config is not None:
            raise ConfigError(
                "the model already carries an adapter, and peft_config asks for another",
                hint="Take peft_config out, or give the base model.",
            )
        check_can_teach(model)
        return model, tokenizer
    student = _with_adapter(model, args, source, peft_config)
    check_can_teach(student)
    return student, tokenizer


def _with_adapter(
    model: PreTrainedModel,
    args: BakeryConfig,
    source: Source,
    asked: peft.PeftConfig | LoraConfig | None,
) -> PeftModel:
    if isinstance(asked, peft.PeftConfig):
        torch.manual_seed(args.seed)
        try:
            made = peft.get_peft_model(model, asked)
        except (ValueError, TypeError, RuntimeError) as error:
            raise ConfigError(f"the adapter of peft_config cannot be placed: {error}") from error
        assert isinstance(made, PeftModel)
        return made
    if not isinstance(asked, LoraConfig | None):
        raise ConfigError(
            f"peft_config is a {type(asked).__name__}: give a peft.LoraConfig(...), or ours"
        )
    lora = asked or LoraConfig()
    settled.lora(lora, settled.base_of(model.config), args)
    return loading.with_adapter(model, lora, source, DataConfig(), args)
