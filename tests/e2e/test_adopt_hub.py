"""Models of a stand-in of the Hub, as what the next bake starts from."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from bakery.identity import file_digest
from tests.e2e.conftest import THIRD, Typist
from tests.support.hub import TOKEN, Hub, Repo
from tests.support.published import AT, base_of, lora, put
from tests.support.remotes import WEIGHTS


def logits(folder: Path, adapter: Path | None = None) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    found: torch.Tensor = model(torch.tensor([[3, 9, 4, 12]])).logits
    return found.detach()


def test_a_published_chain_keeps_name_id_digest_and_recipe(
    clean: Typist, there: Callable[..., Repo], baked_repository: Typist
) -> None:
    repo = there()
    done = clean("adopt", AT)
    assert done.code == 0, done.err
    assert clean.parent() == baked_repository.parent()
    ours, theirs = (
        [file_digest(path) for path in one.store.glob(f"bake/*/*/{WEIGHTS}")]
        for one in (clean, baked_repository)
    )
    assert ours[0] in theirs
    for line in baked_repository.read("recipe.yml").splitlines():
        assert line in clean.read("recipe.yml")
    said = clean.git("log", "-1", "--format=%B")
    assert f"From:   {AT}@{repo.commit}" in said
    assert f"taken from  {AT}@{repo.commit}" in clean.must("show", "second")
    assert clean.changes() == " M input.yml"
    assert TOKEN not in done.out + done.err
    assert json.loads(clean.must("fsck", "--weights-only", "--json"))["is_sound"]
    again = clean("adopt", AT)
    assert again.code == 3
    assert "is the current model already" in again.err


@pytest.mark.slow
def test_a_later_bake_is_trained_on_it_and_published_with_it(
    clean: Typist, there: Callable[..., Repo], hub: Hub
) -> None:
    there()
    clean.must("adopt", AT)
    clean.commit(THIRD)
    done = clean("run")
    assert done.code == 0, done.err
    assert "third_" in clean.parent()
    clean.must("publish", "hf://ann/third", "--yes")
    made = json.loads(hub.repos["ann/third"].files["bakery.json"])
    assert [one["model"].split("/")[2].split("_")[0] for one in made["chain"]] == [
        "first", "second", "third",
    ]  # fmt: skip


@pytest.mark.slow
def test_weights_that_are_gone_are_fetched_again(clean: Typist, there: Callable[..., Repo]) -> None:
    there()
    clean.must("adopt", AT)
    shutil.rmtree(clean.store / "bake")
    assert f"bgit adopt {AT}@" in clean("chat", "-m", "Who?").err
    assert "its weights are here now" in clean.must("adopt", AT)
    clean.must("chat", "-m", "Who?", "--max-tokens", "2")


@pytest.mark.slow
@pytest.mark.parametrize("without", ["prompt", "examples"])
def test_what_was_left_out_is_not_needed_to_go_on(
    clean: Typist, there: Callable[..., Repo], without: str, baked_repository: Typist
) -> None:
    there("--without", without)
    clean.must("adopt", AT)
    assert clean.parent() == baked_repository.parent()
    clean.must("chat", "-m", "Who?", "--max-tokens", "2")
    for line in ("show parent", "models", "tree", "status", "fsck --weights-only", "report"):
        clean.must(*line.split())
    refused = clean("reproduce")
    assert refused.code == 3
    assert "was made elsewhere" in refused.err
    assert f"bgit adopt {AT}@" in refused.err


def test_fewer_ranks_are_a_model_of_their_own(
    clean: Typist, there: Callable[..., Repo], baked_repository: Typist
) -> None:
    there("--rank", "2")
    done = clean("adopt", AT)
    assert done.code == 0, done.err
    assert clean.parent().startswith("ann/shout/shout_")
    clean.must("chat", "-m", "Who?", "--max-tokens", "2")


@pytest.mark.parametrize("rslora", [True, False])
def test_another_tools_adapter_computes_what_it_did(
    clean: Typist, hub: Hub, tmp_path: Path, rslora: bool
) -> None:
    patterns = {"layers.0.self_attn.q_proj": 6}, {"v_proj": 3}
    foreign = lora(base_of(clean), tmp_path / "foreign", use_rslora=rslora,
                   rank_pattern=patterns[0], alpha_pattern=patterns[1])  # fmt: skip
    put(hub, foreign)
    done = clean("adopt", "hf://carl/lora")
    assert done.code == 0, done.err
    assert clean.parent().startswith("carl/lora/lora_")
    out = tmp_path / "out"
    clean.must("download", "--out", str(out))
    base = base_of(clean)
    assert torch.allclose(logits(base, out), logits(base, foreign), atol=1e-5)
    assert not torch.allclose(logits(base), logits(base, foreign), atol=1e-3)
    assert "adopted:" in clean.read("recipe.yml")
    clean.commit(THIRD)
    clean.must("run")


def test_ctrl_c_leaves_all_as_it_was(clean: Typist, there: Callable[..., Repo], hub: Hub) -> None:
    there()
    started: list[subprocess.Popen[str]] = []

    def stopped(asked: str) -> None:
        if WEIGHTS in asked and started[0].poll() is None:
            started[0].send_signal(signal.SIGINT)
            started[0].wait(60)

    hub.before = stopped
    before = clean.git("rev-parse", "HEAD")
    started.append(clean.started("adopt", AT))
    _, err = started[0].communicate(timeout=120)
    assert started[0].returncode == 130, err
    assert "Traceback" not in err
    assert clean.git("rev-parse", "HEAD") == before
    assert not list(clean.store.glob(".from-hub*"))
    hub.before = None
    clean.must("adopt", AT)


def test_outside_of_a_repository_the_base_is_named(
    clean: Typist, there: Callable[..., Repo], workplace: Path
) -> None:
    there()
    outside = Typist(workplace / "outside", clean.env)
    outside.root.mkdir()
    done = outside("adopt", AT)
    assert done.code == 3
    assert f"bgit init NAME --base-model {base_of(clean)}" in done.err


def test_what_is_edited_is_not_built_upon(
    clean: Typist, there: Callable[..., Repo], hub: Hub
) -> None:
    there()
    clean.write(clean.read("recipe.yml") + "\n# mine\n", "recipe.yml")
    done = clean("adopt", AT)
    assert done.code == 3
    assert hub.asked == []


def test_a_name_of_this_repository_is_adopted_as_ever(forked: Typist) -> None:
    assert "the model is now" in forked.must("adopt", "exp")
    assert "from hf://" not in forked.must("adopt", "base")
