"""What of the Hub is not adopted: each is said in words, and nothing is recorded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bakery.remotes import addresses
from bakery.remotes import hub as hub_of
from tests.e2e.conftest import Typist
from tests.support.hub import Hub, Repo
from tests.support.published import AT, base_of, lora, put, refused
from tests.support.remotes import WEIGHTS


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"use_dora": True}, "no factor of a LoRA|more than B·A"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save|lm_head"),
        ({"bias": "lora_only"}, "biases"),
        ({"init_lora_weights": "pissa"}, "changes the weights of the base"),
        ({"r": 10**6}, "rank"),
        ({"lora_alpha": 1e12}, "lora_alpha"),
        ({"rank_pattern": {"(a+)+$": 4}}, "rank_pattern"),
        ({"kasa_config": {"x": 1}}, "more than B·A"),
        ({"base_model_name_or_path": "Qwen/Qwen3-0.6B"}, "lies on Qwen/Qwen3-0.6B"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"base_model_name_or_path": "x; touch y"}, "--base-model 'x; touch y'"),
    ],
)
def test_what_does_more_than_a_lora_is_refused_by_name(
    clean: Typist, hub: Hub, tmp_path: Path, settings: dict[str, object], told: str
) -> None:
    foreign = lora(base_of(clean), tmp_path / "foreign")
    config = json.loads((foreign / "adapter_config.json").read_text())
    (foreign / "adapter_config.json").write_text(json.dumps({**config, **settings}))
    put(hub, foreign)
    refused(hub, clean, "hf://carl/lora", told)


def test_an_adapter_of_another_base_is_refused_by_its_layers(
    clean: Typist, hub: Hub, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(base_of(clean), other)
    foreign = lora(other, tmp_path / "foreign")
    config = json.loads((foreign / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = str(base_of(clean))
    (foreign / "adapter_config.json").write_text(json.dumps(config))
    data = (foreign / WEIGHTS).read_bytes().replace(b"layers.0.", b"layers.7.")
    (foreign / WEIGHTS).write_bytes(data)
    put(hub, foreign)
    refused(hub, clean, "hf://carl/lora", "the base has no layer")


DAMAGED = {
    "another base": ("bakery.json", b'"digest": "', b'"digest": "0'),
    "another name": ("bakery.json", b'"model": "ann/', b'"model": "../'),
    "a newer schema": ("bakery.json", b'"schema": 1', b'"schema": 9'),
    "no JSON": ("bakery.json", b"{", b"["),
    "a circle": ("recipe.yml", b"parent: null", b"parent:\n        model: X\n        digest: y"),
    "no recipe": ("recipe.yml", b"schema: 1", b"schema: x"),
    "a block that says nothing": ("recipe.yml", b"training:", b"trained:"),
    "another digest": ("recipe.yml", b"digest: ", b"digest: '0' #"),
    "a block out of its place": (
        "recipe.yml",
        b"\n      training:",
        b"\nbase_model: x\n      training:",
    ),
    "a name that steers": ("bakery.json", b"second_", b"\\u001b[31msecond_"),
    "no configuration": ("adapter_config.json", b"{", b"("),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_what_was_changed_after_it_was_published_is_refused(
    clean: Typist, there: Callable[..., Repo], hub: Hub, what: str
) -> None:
    name, old, new = DAMAGED[what]
    repo = there()
    if b"X" in new:
        model = json.loads(repo.files["bakery.json"])["model"].encode()
        new = new.replace(b"X", model).replace(b"y", b"0" * 64)
    assert old in repo.files[name]
    repo.files[name] = repo.files[name].replace(old, new)
    refused(hub, clean, AT, "", code=5)


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda data: data[:-100], "cannot be loaded|does not"),
        (lambda data: data[:40], "cannot be loaded|does not"),
        (lambda data: data[:-4] + b"\x00\x00\xc0\x7f", "NaN"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "are not those that bakery.json names"),
        (lambda data: b"\xff" * 8 + data[8:], "cannot be loaded"),
        (lambda data: b"", "cannot be loaded|bytes"),
    ],
)
def test_damaged_weights_are_refused(
    clean: Typist,
    there: Callable[..., Repo],
    hub: Hub,
    break_it: Callable[[bytes], bytes],
    told: str,
) -> None:
    repo = there()
    repo.files[WEIGHTS] = break_it(repo.files[WEIGHTS])
    refused(hub, clean, AT, told)


@pytest.mark.parametrize("lies", ["shorter", "longer", "otherwise"])
def test_bytes_that_are_not_those_that_are_listed_are_refused(
    clean: Typist, there: Callable[..., Repo], hub: Hub, lies: str
) -> None:
    there()

    def changed(path: str, data: bytes) -> bytes:
        if path != WEIGHTS:
            return data
        return {"shorter": data[:-9], "longer": data + b"x" * 9,
                "otherwise": data[:-1] + bytes([data[-1] ^ 1])}[lies]  # fmt: skip

    hub.sends = changed
    done = clean("adopt", AT)
    assert done.code in (3, 5), done.err
    assert "adapter_model.safetensors of hf://ann/shout" in done.err or "cannot be read" in done.err
    assert not list(clean.store.glob("bake/*/*"))
    hub.sends = None
    clean.must("adopt", AT)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"adapter_model.bin": b"\x80\x04", "adapter_config.json": b"{}"}, "a pickle"),
        (
            {"model.safetensors": b"x", "config.json": b"{}"},
            "bgit init NAME --base-model carl/lora",
        ),
        ({"model.gguf": b"GGUF"}, "GGUF"),
        ({"README.md": b"hello"}, "holds no adapter"),
        ({}, "holds no adapter"),
        ({WEIGHTS: b"x"}, "no adapter_config.json"),
        ({WEIGHTS: b"x", "adapter_config.json": b" " * 2_000_000}, "too much"),
    ],
)
def test_what_holds_no_adapter_is_refused_with_what_to_do(
    clean: Typist, hub: Hub, files: dict[str, bytes], told: str
) -> None:
    hub.repos["carl/lora"] = Repo("carl/lora", files=files)
    refused(hub, clean, "hf://carl/lora", told)
    assert not [one for one in hub.asked if "resolve" in one]


def test_a_hub_that_names_no_commit_is_refused(
    clean: Typist, there: Callable[..., Repo], hub: Hub
) -> None:
    there().branches["main"] = "a\nFrom:   elsewhere"
    refused(hub, clean, AT, "names no commit", code=3)


def test_a_merged_export_is_no_adapter(clean: Typist, there: Callable[..., Repo], hub: Hub) -> None:
    there("--merged")
    refused(hub, clean, AT, "it holds a whole model")


def test_a_revision_is_taken_by_its_name(
    clean: Typist, there: Callable[..., Repo], hub: Hub
) -> None:
    repo = there()
    old = repo.commit
    repo.put("gone", {"README.md": b"nothing"})
    refused(hub, clean, AT, "holds no adapter")
    refused(hub, clean, f"{AT}@nope", "has no branch, tag or commit nope", code=3)
    clean.must("adopt", f"{AT}@{old}")
    assert f"{AT}@{old}" in clean.git("log", "-1", "--format=%B")


@pytest.mark.parametrize(
    ("code", "told"), [(401, "hf auth login"), (403, "you may not"), (404, "is not there")]
)
def test_a_refusal_is_told_in_words(
    clean: Typist, there: Callable[..., Repo], hub: Hub, code: int, told: str
) -> None:
    there()
    hub.fails["GET /api/models/ann/shout"] = (code, {"X-Error-Code": "RepoNotFound"})
    refused(hub, clean, AT, told, code=3)


@pytest.mark.parametrize(("what", "of_a_commit"), [("asked", False), ("written to", True)])
def test_a_hub_that_cannot_be_reached_leaves_nothing_half_written(
    what: str, of_a_commit: bool
) -> None:
    failed = RuntimeError("[Errno -2] Name or service not known")
    error = hub_of._translated(addresses.on_hub(AT), what, failed)
    assert f"{AT} cannot be {what}: [Errno -2]" in error.message
    assert ("a commit is whole" in str(error.hint)) is of_a_commit
    assert "Is this machine online?" in str(error.hint)
