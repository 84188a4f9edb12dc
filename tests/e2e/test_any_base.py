"""Any chat model in safetensors can be the base; what was recorded of it has to stay true."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import Gemma3TextConfig, LlamaConfig, PreTrainedConfig, Qwen3Config

from tests.e2e.conftest import IDENTITY, Typist, bgit, input_yml
from tests.support.models import make_model

SIZES: dict[str, Any] = {
    "vocab_size": 259,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 512,
}
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def env(workplace: Path) -> dict[str, str]:
    (workplace / "gitconfig").write_text(IDENTITY, encoding="utf-8")
    return {
        "GIT_CONFIG_GLOBAL": str(workplace / "gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(workplace / "hub"),
    }


def repository(base: str, workplace: Path, env: dict[str, str], *options: str) -> Typist:
    made = bgit(
        "init", "demo", "--base-model", base, "--owner", "ann", *options, cwd=workplace, **env
    )
    assert made.code == 0, made.err
    return Typist(workplace / "demo", env)


@pytest.mark.parametrize(
    "config",
    [
        pytest.param(
            Qwen3Config(**SIZES, tie_word_embeddings=False), id="qwen3", marks=pytest.mark.slow
        ),
        pytest.param(LlamaConfig(**SIZES), id="llama"),
        pytest.param(
            Gemma3TextConfig(**SIZES, query_pre_attn_scalar=16, sliding_window=8),
            id="gemma3_text",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_model_of_any_make_is_baked_and_talked_to(
    config: PreTrainedConfig, workplace: Path, env: dict[str, str]
) -> None:
    base = make_model(workplace / "base", config)
    typist = repository("./base", workplace, env)
    typist.commit(input_yml(questions=6))
    typist.must("run", "--allow", "teacher", "stim", "rollout", "bake")  # random: it obeys nothing
    found = json.loads(typist.must("show", "first", "--json"))
    assert found["base"]["name"] == str(base)
    assert re.fullmatch(r"[0-9a-f]{64}", found["base"]["digest"])
    assert found["weights"]
    assert typist("chat", stdin="Who?\n").code == 0


def test_another_base_in_bread_is_refused_before_anything_runs(
    workplace: Path, env: dict[str, str]
) -> None:
    base = make_model(workplace / "base")
    typist = repository("./base", workplace, env)
    other = json.loads(
        bgit(
            "init", "other", "--json", "--base-model", str(make_model(workplace / "o", seed=1)),
            cwd=workplace, **env,
        ).out
    )["repository"]["base"]  # fmt: skip
    recorded = re.search(r"digest = (\w+)", typist.read(".bread"))
    assert recorded is not None
    text = typist.read(".bread").replace(str(base), other["name"])
    typist.write(text.replace(recorded[1], other["digest"]), ".bread")
    typist.commit(input_yml())
    done = typist("run", "stim")
    assert done.code == 3
    assert f"this repository was made on {base} (digest {recorded[1][:16]})" in done.err
    assert not (typist.store / "stim").exists()


@pytest.mark.slow
def test_a_base_that_was_moved_is_found_where_bread_says(
    workplace: Path, env: dict[str, str]
) -> None:
    base = make_model(workplace / "base")
    typist = repository("./base", workplace, env)
    base.rename(workplace / "moved")
    lost = typist("chat", "base")
    assert lost.code == 5
    assert "write its new place as base_model in .bread" in lost.err
    typist.write(typist.read(".bread").replace(str(base), str(workplace / "moved")), ".bread")
    typist.git("commit", "-qam", "The base was moved")
    typist.commit(input_yml())
    assert typist("run", "stim").code == 0


def cached(hub: Path, model: Path, **refs: str) -> None:
    """Put a model into the hub's cache, as a download leaves it."""
    folder = hub / "hub/models--org--small"
    shutil.copytree(model, folder / "snapshots" / REVISION)
    (folder / "refs").mkdir()
    for name, revision in refs.items():
        (folder / "refs" / name).write_text(revision, encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("words", [["org/small@v1"], ["org/small", "--revision", "v1"]])
def test_a_hub_model_is_recorded_with_its_revision(
    workplace: Path, env: dict[str, str], words: list[str]
) -> None:
    cached(workplace / "hub", make_model(workplace / "base"), v1=REVISION)
    typist = repository(words[0], workplace, env, *words[1:])
    assert "base_model = org/small\n" in typist.read(".bread")
    assert f"revision = {REVISION}\n" in typist.read(".bread")
    assert typist("chat", "base", stdin="Who?\n").code == 0


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["org/small@v9"], 5, "cannot be fetched from the hub"),
        (["./base", "--revision", "v1"], 5, "it has no revision v1"),
        (["tiny@v1"], 5, "it has no revision v1"),
        (["org/small@v1", "--revision", "v2"], 2, "two revisions are given: v1 and v2"),
    ],
)
def test_a_revision_that_is_not_there_is_refused(
    workplace: Path, env: dict[str, str], words: list[str], code: int, told: str
) -> None:
    cached(workplace / "hub", make_model(workplace / "base"), v1=REVISION)
    done = bgit("init", "demo", "--base-model", *words, cwd=workplace, **env)
    assert done.code == code, done.err
    assert told in done.err
    assert not (workplace / "demo").exists()


def test_init_in_a_folder_inside_another_repository_says_so(
    workplace: Path, env: dict[str, str]
) -> None:
    Typist(workplace, env).git("init", "-q", "outer")
    done = bgit("init", "model", cwd=workplace / "outer", **env)
    assert done.code == 0
    assert f"note: it lies inside the git repository {workplace / 'outer'}" in done.err


def test_init_here_makes_a_repository_of_this_folder(workplace: Path, env: dict[str, str]) -> None:
    folder = workplace / "My model"
    folder.mkdir()
    refused = bgit("init", ".", cwd=folder, **env)
    assert refused.code == 2
    assert "`--name` gives a repository another name" in refused.err
    assert bgit("init", ".", "--name", "mine", "--owner", "ann", cwd=folder, **env).code == 0
    assert json.loads(Typist(folder, env).must("status", "--json"))["repository"] == "ann/mine"
