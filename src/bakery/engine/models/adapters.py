"""LoRA adapters: the frozen parent beside the one in training, and the standard folder of both.

A bake's folder holds the *composed* adapter on the root base: A stacked, B side by side with
alpha/r folded in. So stock PEFT, converters and servers compute the right model for any bake
of a chain. `slices.json` names each bake's ranks; this bake's own are the last.
Shapes: R rank · I inputs · O outputs.
"""

from __future__ import annotations

import os
import re
import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from transformers import PreTrainedModel

from bakery import pointers
from bakery.engine.bases import heads, weights
from bakery.engine.models import adapter_check
from bakery.engine.models.adapter_folder import CONFIG, WEIGHTS, Slice, digest, slices, write_slices
from bakery.engine.text import patterns
from bakery.errors import ConfigError, ModelError
from bakery.records import sync_folder
from bakery.shaping import TrainingSettings

PARENT, BAKE = "parent", "bake"
_IN_PEFT = "base_model.model."


@contextmanager
def peft_on_new_transformers() -> Iterator[None]:
    """Hide a deprecation that PEFT trips over inside transformers: no user can act on it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        yield


@peft_on_new_transformers()
def attach_parent(model: PreTrainedModel, folder: Path) -> PeftModel:
    """Put an adapter on its base, frozen; ModelError where it is damaged or of another base."""
    for name in (WEIGHTS, CONFIG):
        if pointers.lies_at(folder / name):
            raise weights.pointer(folder / name)
    adapter_check.check_any(folder)
    copies = _copies_of_base(model, folder)
    try:
        attached = PeftModel.from_pretrained(
            model, str(folder), adapter_name=PARENT, is_trainable=False
        )
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError) as error:
        said = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ModelError(f"the adapter in {folder} cannot be loaded: {said}") from error
    _check_taken(attached, folder, copies)
    return attached


def _copies_of_base(model: PreTrainedModel, folder: Path) -> set[str]:
    """Return what of an adapter's file is the base's own: PEFT saves adapted embeddings with it."""
    own, found = dict(model.named_parameters()), set()
    with safe_open(str(folder / WEIGHTS), framework="pt") as file:
        for name in file.keys():  # noqa: SIM118  # it is no mapping
            base = own.get(name.removeprefix(_IN_PEFT).replace(".base_layer.", "."))
            if base is not None and torch.equal(file.get_tensor(name).to(base), base):
                found.add(name)
    return found


def _check_taken(model: PeftModel, folder: Path, copies: Collection[str]) -> None:
    """Refuse an adapter of which PEFT left something out, or made something up that is missing."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about what is saved, and nothing is
        due = get_peft_model_state_dict(model, adapter_name=PARENT, save_embedding_layers=False)
    there = heads.read(folder / WEIGHTS)
    for names, said in (
        (due.keys() - there.keys(), "it lacks"),
        (there.keys() - due.keys() - copies, "the base has no place for"),
    ):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise ModelError(
                f"the adapter in {folder} cannot be loaded: {said} {min(names)[:100]}{more}"
            )


@peft_on_new_transformers()
def attach_new(model: PreTrainedModel | PeftModel, settings: TrainingSettings) -> PeftModel:
    """Put a fresh adapter beside the parent (if any); only the fresh one gets gradients.

    The seed is set here, before LoRA draws its A matrices: same settings, same start.
    """
    if isinstance(settings.target_modules, str) and settings.target_modules != "all-linear":
        inner = model.get_base_model() if isinstance(model, PeftModel) else model
        names = [name for name, _ in inner.named_modules()]
        patterns.check_names(settings.target_modules, names, name="target_modules")
    config = LoraConfig(
        r=settings.r,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules=(
            settings.target_modules
            if isinstance(settings.target_modules, str)
            else list(settings.target_modules)
        ),
        bias="none",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(settings.seed)
    try:
        if isinstance(model, PeftModel):
            model.add_adapter(BAKE, config)
            peft_model = model
        else:
            peft_model = get_peft_model(model, config, adapter_name=BAKE)
    except (ValueError, re.error) as error:
        raise _misplaced(str(error).partition("\n")[0]) from error
    placed = []
    for name, layer in _lora_modules(peft_model).items():
        if BAKE in layer.lora_A:
            placed.append(name)
        elif BAKE in layer.lora_embedding_A:
            raise _misplaced(f"{name.removeprefix(_IN_PEFT)} is not a linear layer")
    for asked in settings.target_modules if isinstance(settings.target_modules, tuple) else ():
        if not any(f".{name}".endswith(f".{asked}") for name in placed):
            raise _misplaced(f"no layer is called {asked!r}")
    _activate(peft_model, _present(peft_model))
    return peft_model


def _misplaced(why: str) -> ConfigError:
    return ConfigError(
        f"LoRA cannot be placed: {why}",
        hint="BAKE.model.baked_adapter_config.target_modules is `all-linear`, a list of layers' "
        "names, e.g. [q_proj, v_proj], or a regular expression over their whole names.",
    )


def check_can_teach(model: PeftModel) -> None:
    """Refuse adapters that leave something behind when they are off, or that move positions."""
    for name, config in model.peft_config.items():
        if getattr(config, "bias", "none") != "none":
            why = f"bias={config.bias!r} trains biases of the base, which the teacher reads too"
        elif config.is_prompt_learning:
            why = f"{config.peft_type.value} puts tokens of its own in front of the student's"
        elif getattr(config, "alora_invocation_tokens", None):
            why = "alora_invocation_tokens turn it on in the middle of a row"
        else:
            continue
        raise ConfigError(
            f"the adapter {name!r} cannot learn here: {why}",
            hint="Give peft.LoraConfig(...) without it, or another adapter of weights.",
        )


@contextmanager
def parent_only(model: PeftModel) -> Iterator[None]:
    """Turn the new adapter off: what is left is the parent, bit for bit.

    Inside itself it does nothing.
    """
    if PARENT in model.peft_config:
        names = list(model.base_model.active_adapters)
        _activate(model, [PARENT])
        try:
            yield
        finally:
            _activate(model, names)
    else:
        with model.disable_adapter():
            yield


def save_composed(model: PeftModel, folder: Path, *, bake_id: str, parent: Path | None) -> str:
    """Write parent and new adapter as one standard PEFT folder; return its digest."""
    older = slices(parent) if parent else []
    start = older[-1].stop if older else 0
    modules = _lora_modules(model)
    rank = start + max(layer.r[BAKE] for layer in modules.values() if BAKE in layer.lora_A)
    tensors: dict[str, torch.Tensor] = {}
    for name, layer in modules.items():
        a_RI, b_OR = _stack(layer, start, rank)
        tensors[f"{name}.lora_A.weight"] = a_RI
        tensors[f"{name}.lora_B.weight"] = b_OR
    with _replaced(folder) as draft:
        _composed_config(model, rank, list(modules)).save_pretrained(str(draft))
        save_file(tensors, str(draft / WEIGHTS), metadata={"format": "pt"})
        write_slices(draft, [*older, Slice(bake_id, start, rank)])
    return digest(folder)


@contextmanager
def _replaced(folder: Path) -> Iterator[Path]:
    """Yield a draft that takes the folder's place when it is whole; a broken one is removed."""
    draft = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
        for path in draft.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    sync_folder(folder.parent)


def own_state(model: PeftModel) -> dict[str, torch.Tensor]:
    """Return the trainable tensors by name: all that a checkpoint needs."""
    return {
        name: p.detach().cpu().contiguous()
        for name, p in model.named_parameters()
        if p.requires_grad
    }


def load_own_state(model: PeftModel, path: Path) -> None:
    """Put a checkpoint's tensors back."""
    state = load_file(str(path))
    if state.keys() != own_state(model).keys():
        raise ModelError(f"{path} is a checkpoint of another bake")
    put_own_state(model, state)


def put_own_state(model: PeftModel, state: Mapping[str, torch.Tensor]) -> None:
    """Give the trainable tensors these values."""
    parameters = dict(model.named_parameters())
    with torch.no_grad():
        for name, tensor in state.items():
            parameters[name].copy_(tensor)


def _present(model: PeftModel) -> list[str]:
    return [name for name in (PARENT, BAKE) if name in model.peft_config]


def _activate(model: PeftModel, names: Sequence[str]) -> None:
    """Choose the active adapters. PEFT makes whatever is active trainable: freeze the parent."""
    model.base_model.set_adapter(list(names))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(f".{BAKE}." in name and "lora_" in name)


def _lora_modules(model: PeftModel) -> dict[str, LoraLayer]:
    """Return the adapted layers by the name that PEFT's files give them, sorted."""
    found = {
        f"{_IN_PEFT}{name}": module
        for name, module in model.get_base_model().named_modules()
        if isinstance(module, LoraLayer)
    }
    return dict(sorted(found.items()))


def _stack(layer: LoraLayer, start: int, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the layer's composed factors in fp32; ranks it has no part in stay zero."""
    any_name = next(iter(layer.lora_A))
    inputs = layer.lora_A[any_name].weight.shape[1]
    outputs = layer.lora_B[any_name].weight.shape[0]
    a_RI, b_OR = torch.zeros(rank, inputs), torch.zeros(outputs, rank)
    for name, first in ((PARENT, 0), (BAKE, start)):
        if name not in layer.lora_A:
            continue
        a, b = layer.lora_A[name].weight.detach(), layer.lora_B[name].weight.detach()
        last = first + a.shape[0]
        a_RI[first:last] = a.float().cpu()
        b_OR[:, first:last] = b.float().cpu() * layer.scaling[name]
    return a_RI, b_OR


def _composed_config(model: PeftModel, rank: int, adapted: Sequence[str]) -> LoraConfig:
    modules: set[str] = set()
    for config in model.peft_config.values():
        listed = config.target_modules
        if isinstance(listed, str):  # an expression cannot stand beside names: all by name then
            listed = [name.removeprefix(_IN_PEFT) for name in adapted]
        modules |= set(listed)
    # Of the base itself: an adapter that is put beside another is not told.
    base = model.get_base_model().name_or_path
    return LoraConfig(
        r=rank,
        lora_alpha=rank,
        lora_dropout=0.0,
        bias="none",
        target_modules=sorted(modules),
        task_type="CAUSAL_LM",
        base_model_name_or_path=base,
        inference_mode=True,
    )
