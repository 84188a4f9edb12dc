"""A base model that is loaded already: who it is, and how it is baked on without changing it."""

from __future__ import annotations

import copy
import hashlib
import json
from dataclasses import replace
from typing import Any

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from bakery.engine.models import loaded
from bakery.engine.models.models import BaseModel, embedded, end_ids, refuse_other_than_text
from bakery.engine.text.chat import Chat
from bakery.errors import ModelError
from bakery.identity import BaseModelId, digest


def base_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> BaseModel:
    """Return a loaded model as the base of a bake.

    Its digest is over its weights as they are now, its configuration, tokenizer and template.
    """
    name = model.name_or_path or type(model).__name__
    refuse_other_than_text(name, model.config)
    if not model.can_generate():
        raise ModelError(f"{name} has no language model's head: load it as a causal language model")
    if any(tensor.is_meta for tensor in model.state_dict().values()):
        raise ModelError(f"{name} has no weights yet: it is on the meta device")
    loaded.check_tokens(name, tokenizer, embedded(model))
    loaded.check_finite(name, model)
    if any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        raise ModelError(
            f"{name} already carries an adapter, which would be taken for the base",
            hint="Give the base itself, and the bake to go on from as `parent`.",
        )
    chat = Chat(tokenizer, end_ids(model, tokenizer.eos_token_id), rows=embedded(model))
    size = getattr(model.config.get_text_config(), "hidden_size", 0)
    family = str(model.config.model_type or "")
    beside = digest({"ends": sorted(chat.end_ids)})
    found = BaseModelId(name, "", _digest(model, tokenizer), family, int(size or 0), beside)
    return BaseModel(found, model, chat)


def _digest(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> str:
    weights = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        weights.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        weights.update(flat.view(torch.uint8).numpy().data if flat.numel() else b"")
    config = model.config.to_dict()
    config.pop("transformers_version", None)
    return digest(
        {
            "weights": weights.hexdigest(),
            "config": json.loads(json.dumps(config, default=str)),
            "vocabulary": sorted(tokenizer.get_vocab().items()),
            "template": str(tokenizer.chat_template),
        }
    )


def twin(base: BaseModel) -> BaseModel:
    """Return the same base in modules of its own, over the same weights, frozen.

    What an adapter does to the twin's layers, and what training does to its flags, the model that
    was given never sees.
    """
    given = base.model
    shared: dict[int, Any] = {id(buffer): buffer for buffer in given.buffers()}
    shared |= {
        id(parameter): torch.nn.Parameter(parameter.data, requires_grad=False)
        for parameter in given.parameters()
    }
    return replace(base, model=copy.deepcopy(given, shared).eval())
