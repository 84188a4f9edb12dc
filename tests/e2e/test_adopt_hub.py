"""Models of a stand-in of the Hub, as what the next bake starts from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoModelForCausalLM

from bakery.identity import file_digest
from tests.e2e.conftest import THIRD, Typist
from tests.support import hub as hubs
from tests.support.hub import TOKEN, Hub, Repo
from tests.support.published import on, typed_on
from tests.support.remotes import WEIGHTS

AT = "hf://ann/shout"
HUB_TO = "ann/shout"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with hubs.running() as found:
        found.lfs = True
        yield found


@pytest.fixture(scope="module")
def published(
    baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, ...], Repo]:
    """What the chain of two bakes is when it is published, by the options for that."""
    found = {}
    with hubs.running() as known:
        known.lfs = True
        source = on(known, baked_repository, tmp_path_factory.mktemp("published") / "source")
        for options in ((), ("--without", "prompt"), ("--without", "examples"), ("--rank", "2"),
                        ("--merged",)):  # fmt: skip
            known.repos.pop(HUB_TO, None)
            source.must("publish", AT, "--yes", *options)
            found[options] = known.repos[HUB_TO]
    return found


@pytest.fixture
def there(hub: Hub, published: dict[tuple[str, ...], Repo]) -> Callable[..., Repo]:
    """Put a copy of what was published on the Hub of a test."""

    def put(*options: str) -> Repo:
        like = published[options]
        hub.repos[HUB_TO] = Repo(HUB_TO, True, dict(like.files), ["x"], set(like.in_lfs))
        return hub.repos[HUB_TO]

    return put


@pytest.fixture
def clean(new_repository: Typist, workplace: Path, hub: Hub) -> Typist:
    """A repository on the same base, in which nothing was baked."""
    return on(hub, new_repository, workplace / "clean")


def logits(folder: Path, adapter: Path | None = None) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    found: torch.Tensor = model(torch.tensor([[3, 9, 4, 12]])).logits
    return found.detach()


def base_of(repository: Typist) -> Path:
    (line,) = [x for x in repository.read(".bread").splitlines() if x.startswith("base_model")]
    return Path(line.partition("=")[2].strip())


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


def test_weights_that_are_gone_are_fetched_again(clean: Typist, there: Callable[..., Repo]) -> None:
    there()
    clean.must("adopt", AT)
    shutil.rmtree(clean.store / "bake")
    assert f"bgit adopt {AT}@" in clean("chat", "-m", "Who?").err
    assert "its weights are here now" in clean.must("adopt", AT)
    clean.must("chat", "-m", "Who?", "--max-tokens", "2")


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
