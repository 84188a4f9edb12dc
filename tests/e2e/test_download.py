"""Weights as files: what PEFT and transformers load is the model that was baked."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGMLQuantizationType, GGUFReader
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from bakery.identity import file_digest
from bakery.repo.files import recipe
from tests.e2e.conftest import IDENTITY, Typist, bgit, copied, input_yml
from tests.support.gguf_models import as_gguf

IDS = torch.tensor([[1, 9, 8, 7, 40, 41, 42]])


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with two bakes; every test exports to a place of its own."""
    return copied(baked_repository, tmp_path_factory.mktemp("download") / "demo")


def bake_of(typist: Typist, name: str) -> dict[str, Any]:
    return json.loads(typist.must("show", name, "--json"))


def logits(folder: Path | str, adapter: Path | None = None) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    if adapter is not None:
        model = PeftModel.from_pretrained(model, str(adapter))
    with torch.no_grad():
        return model.eval()(IDS).logits


def base_of(typist: Typist) -> str:
    return json.loads(typist.must("status", "--json"))["base"]["name"]


def test_an_adapter_is_the_recorded_one_and_loads_with_peft(typist: Typist) -> None:
    done = json.loads(typist.must("download", "--json", "--out", "adapter"))
    recorded, folder = bake_of(typist, "second"), typist.root / "adapter"
    assert sorted(path.name for path in folder.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "bake.json",
        "metrics.jsonl", "probes.json", "recipe.yml", "slices.json",
    ]  # fmt: skip
    assert done["sha256"] == {"adapter_model.safetensors": recorded["digest"]}
    assert done["model"] == recorded["model"]
    assert done["size"] == sum(path.stat().st_size for path in folder.iterdir())
    base = base_of(typist)
    assert (
        json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == base
    )
    stored = typist.store / "bake" / recorded["id"] / "2"
    assert torch.equal(logits(base, folder), logits(base, stored))
    assert (logits(base, folder) - logits(base)).abs().max() > 1e-3


def test_the_readme_says_what_it_is_and_how_to_use_it(typist: Typist) -> None:
    out = typist.must("download", "first", "--out", "told")
    text = (typist.root / "told/README.md").read_text(encoding="utf-8")
    recorded = bake_of(typist, "first")
    for told in (
        recorded["digest"],
        recorded["model"],
        recorded["base"]["digest"],
        "system: SHOUT!",
        "PeftModel.from_pretrained",
        "vllm serve",
        "--format gguf",
        "## Licence",
    ):
        assert told in text, told
    for told in (recorded["digest"], "told", "vLLM:", "brings its own licence"):
        assert told in out, told
    chain = recipe.parse((typist.root / "told/recipe.yml").read_text(encoding="utf-8"))
    assert [bake.base_name for bake in chain] == ["first"]


def test_a_merged_model_needs_no_adapter_and_says_the_same(typist: Typist) -> None:
    done = json.loads(typist.must("download", "parent", "--merged", "--json", "--out", "merged"))
    folder = typist.root / "merged"
    assert done["dtype"] == "float32"
    recorded, base = bake_of(typist, "second"), base_of(typist)
    adapted = logits(base, typist.store / "bake" / recorded["id"] / "2")
    assert (logits(folder) - adapted).abs().max() < 1e-4
    assert AutoTokenizer.from_pretrained(folder).chat_template
    assert not (folder / "adapter_config.json").exists()
    assert done["sha256"] == {"model.safetensors": file_digest(folder / "model.safetensors")}
    assert "--format gguf --merged" in (folder / "README.md").read_text(encoding="utf-8")
    chain = recipe.parse((folder / "recipe.yml").read_text(encoding="utf-8"))
    assert [bake.base_name for bake in chain] == ["first", "second"]


@pytest.mark.slow
def test_a_merge_into_few_bits_says_what_it_loses(typist: Typist) -> None:
    done = typist("download", "--merged", "--dtype", "bfloat16", "--out", "half")
    assert done.code == 0
    assert "rounding the sum to bfloat16 loses" in done.err
    config = json.loads((typist.root / "half/config.json").read_text(encoding="utf-8"))
    assert config["dtype"] == "bfloat16"


def test_an_archive_is_named_by_bake_and_step_and_always_the_same(typist: Typist) -> None:
    name = bake_of(typist, "first")["name"]
    done = json.loads(typist.must("download", "first", "--format", "tar.gz", "--json"))
    archive = typist.root / f"{name}_checkpoint_6.tar.gz"
    assert Path(done["path"]) == archive
    before = archive.read_bytes()
    assert done["sha256"] == {archive.name: file_digest(archive)}
    typist.must("download", "first", "-c", "6", "--out", archive.name, "--force")
    assert archive.read_bytes() == before
    with tarfile.open(archive) as tar:
        assert {(m.mtime, m.uid, m.uname) for m in tar.getmembers()} == {(0, 0, "")}
        tar.extractall(typist.root / "unpacked", filter="data")
    folder = typist.root / "unpacked" / f"{name}_checkpoint_6"
    assert file_digest(folder / "adapter_model.safetensors") == bake_of(typist, "first")["digest"]


def test_nothing_is_overwritten_without_force(typist: Typist) -> None:
    (typist.root / "mine").mkdir()
    (typist.root / "mine/notes.txt").write_text("mine", encoding="utf-8")
    refused = typist("download", "--out", "mine")
    assert (refused.code, refused.err.splitlines()[0]) == (3, "error: mine exists")
    forced = typist("download", "--out", "mine", "--force")
    assert "mine is not an export, so it is not replaced" in forced.err
    assert (typist.root / "mine/notes.txt").read_text(encoding="utf-8") == "mine"
    typist.must("download", "--out", "twice")
    (typist.root / "twice/README.md").write_text("old", encoding="utf-8")
    left = typist.root / ".twice.999999999.tmp"  # of a download that was killed
    left.mkdir()
    os.utime(left, (0, 0))
    typist.must("download", "--out", "twice", "--force")
    assert (typist.root / "twice/README.md").read_text(encoding="utf-8") != "old"
    assert not list(typist.root.glob(".*.tmp"))


SOUP = "name: soup\n"


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"recipe.yml": SOUP}, "it has no recipe.yml with a bake"),
        (
            {"recipe.yml": SOUP, "t.txt": "mine"},
            "it has no recipe.yml with a bake; no export writes t",
        ),
        ({"thesis.txt": "mine"}, "no export writes thesis.txt"),
        ({"notes/README.md": "mine", "x.gguf": "mine"}, "no export writes notes, x.gguf"),
        (dict.fromkeys("abcdefg", "mine"), "no export writes a, b, c, d, e and 2 more"),
        ({".git": "gitdir: ../elsewhere"}, "it is a repository"),
    ],
)
def test_a_folder_with_files_of_others_is_never_replaced(
    typist: Typist, files: dict[str, str], told: str
) -> None:
    folder = typist.root / "shared"
    shutil.rmtree(folder, ignore_errors=True)
    typist.must("download", "first", "--out", "shared")
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    before = sorted(path.name for path in folder.iterdir())
    refused = typist("download", "first", "--out", "shared", "--force")
    assert refused.code == 3
    assert f"shared is not an export, so it is not replaced: {told}" in refused.err
    assert sorted(path.name for path in folder.iterdir()) == before
    for name, text in files.items():
        assert (folder / name).read_text(encoding="utf-8") == text


def test_a_file_that_is_in_the_way_is_said_to_be_one_and_stays(typist: Typist) -> None:
    for name, told in (("f.txt", "it is a file"), ("f.tar.gz", "it is a file of another kind")):
        typist.write("mine", name)
        refused = typist("download", "first", "--out", name, "--force")
        assert refused.code == 3
        assert f"{name} is not an export, so it is not replaced: {told}" in refused.err
        assert typist.read(name) == "mine"
    with tarfile.open(typist.root / "f.tar.gz", "w:gz") as tar:
        tar.add(typist.root / "f.txt", "mine/f.txt")
    before = (typist.root / "f.tar.gz").read_bytes()
    assert typist("download", "first", "--out", "f.tar.gz", "--force").code == 3
    assert (typist.root / "f.tar.gz").read_bytes() == before
    # As reproducible archives are made, with a name that exports have, too.
    with tarfile.open(typist.root / "g.tar.gz", "w:gz") as tar:
        for name in ("README.md", "data.csv"):
            tar.addfile(tarfile.TarInfo(name))
    refused = typist("download", "first", "--out", "g.tar.gz", "--force")
    assert refused.code == 3
    assert "no export writes README.md, data.csv" in refused.err


@pytest.mark.slow
def test_a_merged_export_is_replaced_and_by_an_adapter_too(typist: Typist) -> None:
    typist.must("download", "first", "--merged", "--out", "both")
    typist.must("download", "second", "--merged", "--out", "both", "--force")
    typist.must("download", "second", "--out", "both", "--force")
    assert not (typist.root / "both/model.safetensors").exists()
    assert (typist.root / "both/adapter_model.safetensors").exists()


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["base"], 3, "is the base model"),
        (["nothing"], 3, "there is no model 'nothing'"),
        (["-c", "7"], 3, "kept no step 7"),
        (["--dtype", "float16"], 2, "--dtype is for merged weights"),
        (["--format", "tar.gz", "--out", "x"], 2, "does not go with"),
        (["--out", "no/such/place"], 2, "there is no folder"),
        (["--dtype", "q8_0"], 2, "Add --format gguf"),
        (["--format", "gguf", "--dtype", "q8_0"], 2, "a LoRA is not stored as q8_0"),
        (["--format", "gguf", "--out", "x.gguf"], 2, "has to name a folder"),
        (["--format", "gguf", "--out", "x.tar.gz"], 2, "does not go with"),
    ],
)
def test_what_cannot_be_downloaded_is_refused(
    typist: Typist, words: list[str], code: int, told: str
) -> None:
    done = typist("download", *words)
    assert done.code == code
    assert told in done.err


def test_missing_weights_are_named(typist: Typist, workplace: Path) -> None:
    subprocess.run(["git", "clone", "-q", str(typist.root), "clone"], cwd=workplace, check=True)
    clone = Typist(workplace / "clone", typist.env)
    done = clone("download", "first", "--out", "x")
    assert done.code == 5
    assert "are not in this clone" in done.err
    assert not (clone.root / "x").exists()


def test_a_tokenizer_that_llama_cpp_does_not_have_leaves_nothing_behind(typist: Typist) -> None:
    for more in ((), ("--merged",)):
        done = typist("download", "second", "--format", "gguf", *more, "--out", "file")
        assert done.code == 5
        assert "it has no merges, and a file has to" in done.err
        assert "https://github.com/ggml-org/llama.cpp" in done.err
        assert not (typist.root / "file").exists()


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with one bake, on a base that is written to GGUF."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "gitconfig").write_text(IDENTITY, encoding="utf-8")
    env = {
        "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        "HF_HUB_OFFLINE": "1",
        "BAKERY_CACHE": str(folder / "cache"),
    }
    file = as_gguf(folder / "base.gguf", stored=GGMLQuantizationType.Q8_0)
    made = bgit("init", "demo", "--base-model", file.name, "--owner", "ann", cwd=folder, **env)
    assert made.code == 0, made.err
    typist = Typist(folder / "demo", env)
    typist.commit(input_yml())
    typist.must("run")
    return typist


@pytest.mark.slow
def test_a_whole_file_is_verified_and_stored_as_its_base_is(known: Typist) -> None:
    said = known.must("download", "--format", "gguf", "--merged", "--out", "file", "--json")
    done, folder = json.loads(said), known.root / "file"
    assert sorted(path.name for path in folder.iterdir()) == [
        "Modelfile", "README.md", "model.gguf", "recipe.yml", "verified.json",
    ]  # fmt: skip
    assert (done["format"], done["merged"], done["dtype"]) == ("gguf", True, "q8_0")
    assert done["sha256"] == {"model.gguf": file_digest(folder / "model.gguf")}
    found = json.loads((folder / "verified.json").read_text(encoding="utf-8"))
    assert found == done["gguf"]["verified"]
    assert found["stored"]["Q8_0"] > 0
    assert found["allowed"] is None
    modelfile = (folder / "Modelfile").read_text(encoding="utf-8")
    assert modelfile.startswith("FROM ./model.gguf\nTEMPLATE")
    known.must("download", "--format", "gguf", "--merged", "--dtype", "f32", "--out", "f32")
    found = json.loads((known.root / "f32/verified.json").read_text(encoding="utf-8"))
    assert (found["worst_weight"], found["allowed"]) == (0, 0.001)
    assert found["greedy_equal"] == found["prompts"] > 0


@pytest.mark.slow
def test_a_lora_goes_on_the_base_s_file_and_replaces_an_export(known: Typist) -> None:
    out = known.must("download", "--format", "gguf", "--out", "lora")
    base = json.loads(known.must("status", "--json"))["base"]["name"]
    assert "greedy answers are the same" in out
    assert f"llama-server -m {base} --lora lora/adapter.gguf" in out
    modelfile = (known.root / "lora/Modelfile").read_text(encoding="utf-8")
    assert modelfile.startswith(f"FROM {base}\nADAPTER ./adapter.gguf\n")
    known.must("download", "--out", "lora", "--force")
    assert not (known.root / "lora/adapter.gguf").exists()


@pytest.mark.slow
def test_a_base_is_written_byte_by_byte_as_its_file_stores_it(known: Typist) -> None:
    known.must("download", "base", "--format", "gguf", "--out", "base")
    own = GGUFReader(json.loads(known.must("status", "--json"))["base"]["name"]).tensors
    written = GGUFReader(str(known.root / "base/model.gguf")).tensors
    assert {t.name: bytes(t.data) for t in written} == {t.name: bytes(t.data) for t in own}


def test_an_adapter_of_fewer_ranks_says_what_it_lost(typist: Typist) -> None:
    done = json.loads(typist.must("download", "--rank", "3", "--json", "--out", "small"))
    typist.must("download", "--out", "whole")
    small, found = typist.root / "small", done["compressed"]
    assert sorted(path.name for path in small.iterdir()) == [
        "README.md", "adapter_config.json", "adapter_model.safetensors", "recipe.yml",
    ]  # fmt: skip
    assert json.loads((small / "adapter_config.json").read_text("utf-8"))["r"] == 3
    assert (found["kept"], [one["bake"] for one in found["bakes"]]) == (3, ["first", "second"])
    assert 0 < found["lost"] <= found["worst_lost"] < 1
    assert "--rank 3 --format gguf" in done["usage"]["llama.cpp, Ollama"]
    # What is said of the last bake's questions holds for those that PEFT computes.
    probes = json.loads((typist.root / "whole/probes.json").read_text("utf-8"))["probes"]
    base, kl = base_of(typist), []
    sides = [
        PeftModel.from_pretrained(
            AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(folder)
        ).eval()
        for folder in (typist.root / "whole", small)
    ]
    for probe in probes:
        prefix, answer = probe["student_prefix"], probe["greedy"]["baked"]
        asked = torch.tensor([prefix + answer])
        with torch.no_grad():
            p, q = (side(asked).logits[0, len(prefix) - 1 : -1] for side in sides)
        p, q = p.log_softmax(-1), q.log_softmax(-1)
        kl += (p.exp() * (p - q)).sum(-1).tolist()
    assert found["bakes"][-1]["kl"] == pytest.approx(sum(kl) / len(kl), rel=1e-2, abs=1e-6)
    assert found["bakes"][-1]["places"] == len(kl)


def test_a_rank_that_leaves_nothing_out_and_questions_that_are_not_here_are_said(
    typist: Typist, workplace: Path
) -> None:
    done = typist("download", "--rank", "99", "--json", "--out", "as_recorded")
    assert "with --rank 99 it is as recorded" in done.err
    recorded = bake_of(typist, "second")
    assert json.loads(done.out)["sha256"] == {"adapter_model.safetensors": recorded["digest"]}
    other = copied(typist, workplace / "other")
    first = bake_of(typist, "first")["model"].split("/")[2].removeprefix("first_")
    (other.store / "bake" / first / "probes.json").write_text("{}", encoding="utf-8")
    done = other("download", "--rank", "3", "--json", "--out", "fewer")
    assert done.code == 0, done.err
    assert [one["bake"] for one in json.loads(done.out)["compressed"]["bakes"]] == ["second"]
    assert "what it loses is not measured" in done.err


def test_merged_weights_have_no_rank(typist: Typist) -> None:
    refused = typist("download", "--rank", "3", "--merged", "--out", "never")
    assert refused.code == 2
    assert "merged weights have none" in refused.err
    assert not (typist.root / "never").exists()
