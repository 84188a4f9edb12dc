"""What accelerate's files and variables say of a bake, and what of it is heeded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from bakery.errors import ConfigError
from bakery.reporting import Quiet
from bakery.torchrun import environment
from bakery.torchrun.asked import Processes
from bakery.torchrun.config_file import asked

FILE = {
    "compute_environment": "LOCAL_MACHINE",
    "debug": False,
    "distributed_type": "MULTI_GPU",
    "downcast_bf16": "no",
    "machine_rank": 0,
    "main_training_function": "main",
    "mixed_precision": "no",
    "num_machines": 1,
    "num_processes": 4,
    "rdzv_backend": "static",
    "same_network": True,
    "use_cpu": False,
}
"""As `accelerate config` of 1.14 writes it."""

FSDP = {
    "fsdp_version": 2,
    "fsdp_reshard_after_forward": True,
    "fsdp_offload_params": False,
    "fsdp_auto_wrap_policy": "TRANSFORMER_BASED_WRAP",
    "fsdp_state_dict_type": "SHARDED_STATE_DICT",
}
ZERO = {"zero_stage": 3, "offload_param_device": "none", "gradient_accumulation_steps": 1}
TWO = {"num_machines": 2, "main_process_ip": "10.0.0.1", "machine_rank": 1}


def written(folder: Path, **more: object) -> Path:
    path = folder / "accelerate.yaml"
    path.write_text(yaml.safe_dump(FILE | more), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("more", "processes"),
    [
        ({}, Processes(4)),
        ({"distributed_type": "NO", "num_processes": 1}, Processes(1)),
        ({"num_processes": None}, Processes()),
        ({"distributed_type": "FSDP", "fsdp_config": FSDP}, Processes(4, sharded=True)),
        (
            {"distributed_type": "FSDP", "fsdp_config": {"fsdp_sharding_strategy": "NO_SHARD"}},
            Processes(4),
        ),
        ({"distributed_type": "DEEPSPEED", "deepspeed_config": ZERO}, Processes(4, sharded=True)),
        ({"distributed_type": "DEEPSPEED", "deepspeed_config": {"zero_stage": 2}}, Processes(4)),
        (TWO, Processes(2, 2, "10.0.0.1:29500", 1)),
        (TWO | {"main_process_port": 7}, Processes(2, 2, "10.0.0.1:7", 1)),
        ({"num_machines": 2}, Processes(2, 2, "", 0)),
    ],
)
def test_a_file_of_accelerate_says_where_a_bake_is_trained(
    more: dict[str, object], processes: Processes, tmp_path: Path
) -> None:
    assert asked(written(tmp_path, **more)) == (processes, [])


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"mixed_precision": "bf16"}, "mixed_precision bf16: BAKE.model.dtype"),
        ({"gpu_ids": "0,2"}, "gpu_ids 0,2: CUDA_VISIBLE_DEVICES=0,2"),
        ({"use_cpu": True}, "use_cpu: CUDA_VISIBLE_DEVICES="),
        (
            {"deepspeed_config": {**ZERO, "gradient_accumulation_steps": 4}},
            "gradient_accumulation_steps 4: input.yml",
        ),
        ({"dynamo_config": {"dynamo_backend": "INDUCTOR"}}, "dynamo_config: it is not done"),
    ],
)
def test_what_of_it_is_not_heeded_is_said(
    more: dict[str, object], said: str, tmp_path: Path
) -> None:
    _, (note,) = asked(written(tmp_path, **more))
    assert said in note


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"distributed_type": "MEGATRON_LM"}, "distributed_type MEGATRON_LM is not done"),
        ({"compute_environment": "AMAZON_SAGEMAKER"}, "AMAZON_SAGEMAKER is not a machine"),
        ({"fsdp_config": {"fsdp_offload_params": True}}, "fsdp_offload_params is True"),
        ({"deepspeed_config": {"offload_param_device": "cpu"}}, "offload_param_device is cpu"),
        ({"deepspeed_config": {"deepspeed_config_file": "z.json"}}, "is not read"),
        ({"num_machines": 3}, "which 3 machines cannot share"),
        ({"num_processes": "four"}, "num_processes is 'four'"),
        ({"num_processes": 0}, "num_processes is 0"),
        ({"num_machines": True}, "num_machines is True"),
    ],
)
def test_what_nobody_does_is_refused(more: dict[str, object], said: str, tmp_path: Path) -> None:
    path = written(tmp_path, **more)
    with pytest.raises(ConfigError, match=said) as caught:
        asked(path)
    assert str(path) in caught.value.message


@pytest.mark.parametrize("text", ["", "- 1", "a: b", "a: [", "\x00"])
def test_what_is_no_such_file_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.yaml"):
        asked(path)


def test_what_a_launcher_left_behind_is_put_aside_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "NO")
    notes = Quiet()
    with environment.left_out(notes):
        assert "ACCELERATE_MIXED_PRECISION" not in os.environ
        assert "ACCELERATE_DYNAMO_BACKEND" not in os.environ
    assert os.environ["ACCELERATE_MIXED_PRECISION"] == "bf16"
    assert os.environ["ACCELERATE_DYNAMO_BACKEND"] == "NO"
    (said,) = notes.notes
    assert said.endswith(": ACCELERATE_MIXED_PRECISION=bf16")
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION")
    with environment.left_out(Quiet()):
        assert environment.said() == []
