"""Names that earlier versions of transformers knew, so that older YAML files go on working."""

from __future__ import annotations

from collections.abc import Iterable

RENAMED = {
    "evaluation_strategy": "eval_strategy",
    "no_cuda": "use_cpu",
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
    "per_gpu_train_batch_size": "per_device_train_batch_size",
    "per_gpu_eval_batch_size": "per_device_eval_batch_size",
    "use_liger": "use_liger_kernel",
    "push_to_hub_model_id": "hub_model_id",
    "push_to_hub_token": "hub_token",
    "dtype": "torch_dtype",
}
"""Former name → name today; the value means the same."""

WITHOUT_EFFECT = (
    "overwrite_output_dir", "save_safetensors", "logging_dir", "half_precision_backend",
    "fp16_opt_level", "fp16_backend", "jit_mode_eval", "use_ipex", "use_mps_device", "past_index",
    "include_inputs_for_metrics", "include_tokens_per_second", "tpu_num_cores",
    "tpu_metrics_debug", "ray_scope", "torchdynamo", "mp_parameters", "fsdp_min_num_params",
    "fsdp_transformer_layer_cls_to_wrap", "dispatch_batches", "split_batches",
)  # fmt: skip


def renamed(name: str, known: Iterable[str]) -> str:
    """Return the name that the installed transformers understands."""
    today = RENAMED.get(name)
    return today if today is not None and today in set(known) else name


def has_no_effect(name: str, known: Iterable[str]) -> bool:
    """Tell whether a name was a setting once and is none in the installed transformers."""
    return name in WITHOUT_EFFECT and name not in set(known)
