"""A chain whose ranks would pass the limit goes on, on what is left of its parent."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from bakery.engine.models import compressed, joined
from bakery.engine.models.adapter_folder import digest, slices
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from tests.e2e.conftest import INPUT_WITH_RANK, Typist, copied

QUESTION = "q1 what?"


def limited(name: str, prompt: str, limit: int = 10) -> str:
    text = INPUT_WITH_RANK.replace("Whisper, please.", prompt).replace("second", name)
    return text.replace("    baked_adapter", f"    max_chain_rank: {limit}\n    baked_adapter")


@pytest.fixture(scope="module")
def long_repository(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """Four bakes in 10 ranks, of which the last two left ranks of their parents out."""
    made = copied(baked_repository, tmp_path_factory.mktemp("long") / "demo")
    for name, prompt in (("third", "Sing!"), ("fourth", "Be brief.")):
        made.commit(limited(name, prompt), f"Configure {name}")
        made.must("run")
    return made


@pytest.fixture
def long(long_repository: Typist, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Typist:
    """Such a repository of the test's own."""
    found = copied(long_repository, workplace / "demo")
    for name, value in found.env.items():
        monkeypatch.setenv(name, value)
    return found


def bake(here: Typist, name: str) -> RecordedBake:
    return ModelRepo.find(here.root).find_bake(name)


def weights(here: Typist, name: str) -> Path:
    found = bake(here, name)
    return here.store / "bake" / found.id / str(found.model.step)


def data(here: Typist, *words: str) -> Any:
    return json.loads(here.must(*words, "--json"))


def answered(here: Typist, model: str) -> str:
    line = here.must("chat", model, "-m", QUESTION, "--max-tokens", "12", "--json")
    return str(json.loads(line)["answer"]).strip()


def test_what_is_left_of_the_parent_is_the_nearest_of_its_rank(long: Typist, tmp_path: Path):
    before = weights(long, "second")
    found = compressed.compress(before, tmp_path / "out", rank=6, base="b")
    of_third, of_second = joined.factors(weights(long, "third")), joined.factors(tmp_path / "out")
    for name, (a_RI, b_OR) in of_second.items():
        torch.testing.assert_close(of_third[name][0][:6], a_RI, rtol=0, atol=0)
        torch.testing.assert_close(of_third[name][1][:, :6], b_OR, rtol=0, atol=0)
    told = bake(long, "third").part("compressed")
    whole = found.rank
    assert (told["method"], told["rank"], told["kept"]) == ("svd", whole, 6)
    assert told["lost"] == found.lost
    assert [one["bake"] for one in told["bakes"]] == ["first", "second"]
    assert all(one["kl"] >= 0 for one in told["bakes"])


def test_the_adapter_stays_within_the_limit_and_the_slice_is_exact(long: Typist):
    third, fourth = bake(long, "third"), bake(long, "fourth")
    assert [(part.bake_id, part.start, part.stop) for part in slices(weights(long, "fourth"))] == [
        (f"{third.id}~6", 0, 6),
        (fourth.id, 6, 10),
    ]
    for path in weights(long, "fourth").glob("*.safetensors"):
        assert {t.shape[0] for name, t in load_file(path).items() if "lora_A" in name} == {10}
    recorded = fourth.data["parent"]["digest"]
    assert recorded == third.digest == digest(weights(long, "third"))
    assert not (long.store / "bake" / fourth.id / "parent").exists()


def test_it_is_announced_before_anything_is_made_and_told_afterwards(long: Typist):
    long.commit(limited("fifth", "Whistle."), "Configure fifth")
    (said,) = [w for w in data(long, "check")["warnings"] if "max_chain_rank" in w]
    assert "would have rank 14, more than 10: of the 10 ranks before it" in said
    shown = long.must("show", "fourth")
    assert "6 of 10" in shown
    assert "first" in shown.partition("KL, nats per token")[2].splitlines()[0]
    long.must("download", "fourth", "--out", "export")
    assert "the older ones compressed together" in long.read("export/README.md")


def test_all_that_asks_about_single_bakes_tells_them_apart(long: Typist):
    rows = data(long, "blame", "--weights", QUESTION, "--max-tokens", "12")["questions"]
    names = [row["bake"].partition("_")[0] for row in rows[0]["without"]]
    assert names == ["first", "second", "third", "fourth"]
    done = long("bisect", "--weights", "--question", QUESTION, "--contains", "zzzz")
    assert "is not good but bad" in done.err  # both ends were asked
    (axis,) = data(long, "eval", "--only", "forgetting", "--limit", "2")["axes"]
    seen = {
        (row["of"].partition("_")[0], bake(long, row["after"]).base_name) for row in axis["rows"]
    }
    order = ["first", "second", "third", "fourth"]
    assert seen == {(of, after) for i, of in enumerate(order) for after in order[i:]}


def test_it_is_sound_and_is_made_again_bit_for_bit(long: Typist):
    assert "nothing is wrong" in long.must("fsck")
    assert json.loads(long.must("reproduce", "fourth", "--json"))["is_same"]


def test_what_lies_beside_the_weights_is_written_anew_from_the_recipe(long: Typist):
    beside = weights(long, "fourth") / "slices.json"
    was = beside.read_text(encoding="utf-8")
    beside.unlink()
    answered(long, "fourth")
    assert json.loads(beside.read_text(encoding="utf-8")) == json.loads(was)
    beside.write_text(was.replace("~6", "~5"), encoding="utf-8")
    done = long("chat", "fourth", "-m", QUESTION)
    assert done.code != 0
    assert "slices.json is damaged" in done.err


def test_a_clone_takes_them_from_an_archive(long: Typist, tmp_path: Path):
    long.git("clone", "-q", str(long.root), str(tmp_path / "clone"))
    clone = Typist(tmp_path / "clone", long.env)
    shutil.rmtree(clone.root / ".git/bakery", ignore_errors=True)
    clone.must("import", str(long.root))
    assert answered(clone, "parent") == answered(long, "parent")


def test_a_bake_from_before_the_limit_comes_out_again(long: Typist):
    found = data(long, "revert", "--only", "first")
    assert [name.split("/")[2].partition("_")[0] for name in found["moved"]] == [
        "second",
        "third",
        "fourth",
    ]
    whole = sum(part.stop - part.start for part in slices(weights(long, "parent")))
    assert whole == 12  # each slice as it was trained, and nothing that was compressed
    assert "nothing is wrong" in long.must("fsck")


def test_what_leaves_no_room_for_a_parent_is_refused_with_its_place(long: Typist):
    long.write(limited("fifth", "Whistle.", limit=4))
    done = long("check")
    assert done.code == 1
    assert "input.yml:17" in done.err
    assert "leaves no room for its parent in an adapter of 4 ranks" in done.err


def test_half_a_parent_that_a_killed_run_left_is_made_anew(long: Typist):
    long.commit(limited("fifth", "Whistle."), "Configure fifth")
    found = ModelRepo.find(long.root).plan().bake
    assert found is not None
    left = long.store / "bake" / found.id / "parent"
    left.mkdir(parents=True)
    (left / "compressed.json").write_text("{", encoding="utf-8")
    long.must("run")
    assert slices(weights(long, "fifth"))[0].bake_id == f"{bake(long, 'fourth').id}~6"


@pytest.mark.parametrize("how", ["cat", pytest.param("distill", marks=pytest.mark.slow)])
def test_a_merge_of_more_ranks_than_there_may_be_is_put_on_what_is_left_of_ours(
    baked_repository: Typist, workplace: Path, how: str
):
    here = copied(baked_repository, workplace / "demo")
    here.git("switch", "-qc", "exp")
    wide = INPUT_WITH_RANK.replace("r: 4", "r: 130")
    here.commit(wide.replace("second", "theirs").replace("Whisper", "Sing"), "Configure theirs")
    here.must("run")
    here.git("switch", "-q", "-")
    here.commit(wide.replace("second", "ours").replace("Whisper", "Hum"), "Configure ours")
    here.must("run")
    before = slices(weights(here, "ours"))[-1].stop
    assert before + 130 > 256
    found = data(here, "merge", f"--weights={how}", "exp", "--force")
    assert found["how"] == how
    told = bake(here, "parent").part("compressed")
    assert (told["rank"], told["kept"]) == (before, 126)
    assert slices(weights(here, "parent"))[-1].stop == 256
    assert "nothing is wrong" in here.must("fsck")
    if how == "cat":
        assert json.loads(here.must("reproduce", "--json"))["is_same"]


@pytest.mark.slow
def test_slices_that_are_too_many_by_themselves_are_refused(
    baked_repository: Typist, workplace: Path
):
    here = copied(baked_repository, workplace / "demo")
    here.git("switch", "-qc", "exp")
    for name in ("wide", "broad"):
        text = INPUT_WITH_RANK.replace("r: 4", "r: 130").replace("second", name)
        here.commit(text.replace("Whisper", name), f"Configure {name}")
        here.must("run")
    here.git("switch", "-q", "-")
    here.commit(INPUT_WITH_RANK.replace("second", "ours").replace("Whisper", "Hum"))
    here.must("run")
    done = here("merge", "--weights=cat", "exp", "--force")
    assert done.code == 2
    assert "has 260 ranks, and a chain has 256 at most" in done.err
    assert "--weights=svd --rank 128" in done.err
    assert here.changes() == ""
