"""A configuration of accelerate, read as what `bgit run bake` takes; accelerate itself is not run.

What decides a result stands in input.yml, so only what says where a bake is trained is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bakery.errors import ConfigError
from bakery.settings.prefix import read_text
from bakery.torchrun.asked import Processes
from bakery.yaml.text import parse

NO_SHARD = "NO_SHARD"
"""The one strategy of FSDP by which every process has the whole base, as by what is no FSDP."""

KINDS = ("NO", "MULTI_GPU", "MULTI_CPU", "FSDP", "DEEPSPEED")

ZERO_3 = "3"

PORT = 29500
"""Where accelerate has machines meet unless a file says otherwise."""

HERE = "LOCAL_MACHINE"


def asked(path: Path) -> tuple[Processes, list[str]]:
    """Return what a file of `accelerate config` asks for, and what of it is not heeded.

    Raises ConfigError where it asks for what bakery does not do.
    """
    given = parse(read_text(path), str(path))
    if not isinstance(given, Mapping) or "distributed_type" not in given:
        raise ConfigError(
            f"{path} is no configuration of accelerate: it has no distributed_type",
            hint="`accelerate config --config_file FILE` writes one.",
        )
    return _processes(path, given), [*_not_heeded(given)]


def _processes(path: Path, given: Mapping[str, Any]) -> Processes:
    machines = _count(path, given, "num_machines") or 1
    count = _count(path, given, "num_processes")
    if count is not None and count % machines:
        raise ConfigError(
            f"{path}: num_processes is {count}, which {machines} machines cannot share evenly",
            hint="It counts the processes of all machines.",
        )
    here = None if count is None else count // machines
    sharded = _shares(path, given)
    if machines == 1:
        return Processes(here, sharded=sharded)
    host, port = given.get("main_process_ip"), given.get("main_process_port") or PORT
    number = _count(path, given, "machine_rank", least=0)
    return Processes(here, machines, f"{host}:{port}" if host else "", number, sharded)


def _count(path: Path, given: Mapping[str, Any], name: str, *, least: int = 1) -> int | None:
    value = given.get(name)
    if value is not None and (type(value) is not int or value < least):
        raise ConfigError(f"{path}: {name} is {value!r}, and has to be a number from {least} on")
    return value


def _section(given: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = given.get(name)
    return found if isinstance(found, Mapping) else {}


def _shares(path: Path, given: Mapping[str, Any]) -> bool:
    """Tell whether the base is shared out; refuse what nobody here does."""
    kind, where = str(given["distributed_type"]), given.get("compute_environment", HERE)
    fsdp, deepspeed = _section(given, "fsdp_config"), _section(given, "deepspeed_config")
    why = "" if kind in KINDS else f"distributed_type {kind} is not done"
    if where != HERE:
        why = f"{where} is not a machine that bgit runs on"
    for name, value in {**fsdp, **deepspeed}.items():
        if "offload" in name and str(value).lower() not in ("false", "none", "no"):
            why = f"{name} is {value}, and nothing is moved off the device while it trains"
    if deepspeed.get("deepspeed_config_file"):
        why = "a deepspeed_config_file is not read"
    if why:
        raise ConfigError(
            f"{path}: {why}",
            hint="FSDP and ZeRO stage 3 become --shard; --nproc and --nnodes say the rest.",
        )
    if kind == "FSDP":
        # Where it was asked for by its first version, the one name holds the other's values.
        names = ("fsdp_sharding_strategy", "fsdp_reshard_after_forward")
        return NO_SHARD not in [str(fsdp.get(name)).upper() for name in names]
    return kind == "DEEPSPEED" and str(deepspeed.get("zero_stage")) == ZERO_3


def _not_heeded(given: Mapping[str, Any]) -> Iterator[str]:
    """Yield what of a file would decide results, or devices, and is somebody else's to say."""
    precision = str(given.get("mixed_precision") or "no")
    if precision != "no":
        yield f"mixed_precision {precision}: BAKE.model.dtype says in which type a bake is trained"
    ids = str(given.get("gpu_ids") or "all")
    if ids != "all":
        yield f"gpu_ids {ids}: CUDA_VISIBLE_DEVICES={ids} shows those alone"
    if given.get("use_cpu"):
        yield "use_cpu: CUDA_VISIBLE_DEVICES= hides every GPU"
    for name, value in _section(given, "deepspeed_config").items():
        if name.startswith("gradient_") and str(value) not in ("1", "auto"):
            yield f"{name} {value}: input.yml says how a bake is trained"
    for name in ("dynamo_config", "fp8_config", "parallelism_config"):
        if given.get(name):
            yield f"{name}: it is not done"
