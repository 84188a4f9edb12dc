"""Repositories that publish to, and adopt from, a stand-in of the Hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from click.testing import Result
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from tests.e2e.conftest import PUBLISHED, Typist, online
from tests.support.commands import typed_here
from tests.support.hub import TOKEN, Hub, Repo
from tests.support.remotes import WEIGHTS

AT = f"hf://{PUBLISHED}"


def typed_on(hub: Hub, at: Typist, *words: str) -> Result:
    """Run one command in the process of the test, which asks the stand-in: that is quicker."""
    with asking(hub) as patch:
        for name, value in at.env.items():
            patch.setenv(name, value)
        patch.chdir(at.root)
        return typed_here(*words)


@contextmanager
def asking(hub: Hub) -> Iterator[pytest.MonkeyPatch]:
    """Have the process of the test ask the stand-in until the block ends."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in online(hub).items():
            patch.setenv(name, value)
        files = "{repo_id}/resolve/{revision}/{filename}"
        constants = {
            "HF_HUB_OFFLINE": False, "HF_HUB_DISABLE_XET": True, "ENDPOINT": hub.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": f"{hub.url}/{files}",
        }  # fmt: skip
        for name, said in constants.items():
            patch.setattr(f"huggingface_hub.constants.{name}", said)
        yield patch


def base_of(repository: Typist) -> Path:
    """Return the folder of a repository's base."""
    (line,) = [x for x in repository.read(".bread").splitlines() if x.startswith("base_model")]
    return Path(line.partition("=")[2].strip())


def lora(base: Path, out: Path, **settings: object) -> Path:
    """Write a LoRA of PEFT's own, with numbers in it."""
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(
        r=4, lora_alpha=9, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM", **settings
    )
    peft = get_peft_model(model, config)
    for name, weights in peft.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weights, std=0.1)
    peft.save_pretrained(str(out))
    return out


def put(hub: Hub, folder: Path, name: str = "carl/lora") -> Repo:
    """Have the Hub hold the files of a folder."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    hub.repos[name] = Repo(name, files=files, in_lfs={WEIGHTS})
    return hub.repos[name]


def refused(hub: Hub, clean: Typist, address: str, told: str, code: int = 5) -> None:
    """See to it that nothing is adopted, and that it is said why and what to do."""
    before, changes = clean.git("rev-parse", "HEAD"), clean.changes()
    done = typed_on(hub, clean, "adopt", address)
    assert done.exit_code == code, done.stderr
    assert any(word in done.stderr for word in told.split("|")), done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.output
    assert (clean.git("rev-parse", "HEAD"), clean.changes()) == (before, changes)
    assert not list(clean.store.glob("bake/*/*"))
    assert not list(clean.store.glob(".from-hub*"))
