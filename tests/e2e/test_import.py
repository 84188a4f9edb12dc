"""A clone without weights gets them from wherever they are, checked against its recipe."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Typist, copied

WEIGHTS = "adapter_model.safetensors"


@pytest.fixture(scope="module")
def source(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with two bakes and all that they left; for reading."""
    return copied(baked_repository, tmp_path_factory.mktemp("source") / "demo")


@pytest.fixture
def clone(source: Typist, workplace: Path) -> Typist:
    """A clone of it, which has no store."""
    source.git("clone", "-q", str(source.root), str(workplace / "clone"))
    return Typist(workplace / "clone", source.env)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "locks" not in path.parts
    }


def has_nothing(clone: Typist) -> bool:
    return not files(clone.store)


def weights_of(typist: Typist, name: str) -> Path:
    return Path(json.loads(typist.must("show", name, "--json"))["weights"])


@pytest.mark.slow
def test_the_current_model_comes_from_another_clone(source: Typist, clone: Typist) -> None:
    out = clone.must("import", str(source.root))
    assert [line.split()[:2] for line in out.splitlines()] == [
        ["took", "weights"], ["took", "questions"], ["took", "answers"]
    ]  # fmt: skip
    here, there = weights_of(clone, "second"), weights_of(source, "second")
    assert (here / "slices.json").read_bytes() == (there / "slices.json").read_bytes()
    assert (here / WEIGHTS).read_bytes() == (there / WEIGHTS).read_bytes()
    ours, theirs = (json.loads((f / "adapter_config.json").read_text()) for f in (here, there))
    assert set(ours.pop("target_modules")) == set(theirs["target_modules"])
    assert all(theirs[key] == value for key, value in ours.items() if "base_model" not in key)
    assert json.loads(clone.must("status", "--json"))["has_weights"]
    assert json.loads(clone.must("metrics", "--json")) == json.loads(
        source.must("metrics", "--json")
    )
    assert clone.must("rollout", "--count") == "12\n"
    assert clone("chat", stdin="Who?\n").code == 0
    again = clone.must("import", str(source.root))
    assert [line.split()[:2] for line in again.splitlines()] == [["was", "here"]] * 3


def test_a_bake_that_was_imported_is_not_trained_again(source: Typist, clone: Typist) -> None:
    clone.must("import", str(source.root), "second")
    clone.must("import", str(source.root), "first")
    clone.must("revert", "second")
    done = clone("run")
    assert done.code == 0
    assert "is in the store already" in done.err
    assert "/second_" in clone.parent()


def test_all_is_what_every_bake_of_the_branch_needs(source: Typist, clone: Typist) -> None:
    done = json.loads(clone.must("import", str(source.store), "--all", "--json"))
    assert [row["kind"] for row in done["taken"]] == ["weights", "questions", "answers"] * 2
    assert done["missing"] == []
    wanted = [
        name for name in files(source.store) if name.endswith(("jsonl", WEIGHTS, "slices.json"))
    ]
    assert sum(name.endswith("asked.jsonl") for name in wanted) == 2
    ours, theirs = files(clone.store), files(source.store)
    assert {name: ours.get(name) for name in wanted} == {name: theirs[name] for name in wanted}
    probes = [name for name in theirs if name.endswith("probes.json")]
    assert len(probes) == 2
    assert [json.loads(ours[name]) for name in probes] == [
        json.loads(theirs[name]) for name in probes
    ]


@pytest.mark.parametrize("form", ["folder", "tar.gz"])
def test_an_export_brings_the_model_that_it_is_of(
    source: Typist, clone: Typist, workplace: Path, form: str
) -> None:
    out = str(workplace / f"export{'.tar.gz' if form == 'tar.gz' else ''}")
    source.must("download", "first", "--out", out)
    told = clone.must("import", out)
    assert told.split()[:2] == ["took", "weights"]
    assert "/first_" in told
    assert weights_of(clone, "first")
    assert json.loads(clone.must("show", "second", "--json"))["weights"] is None
    done = clone("import", out, "second")
    assert done.code == 1
    assert "is an export of" in done.err


def test_what_the_source_lacks_is_named(source: Typist, clone: Typist, workplace: Path) -> None:
    store = workplace / "store"
    shutil.copytree(source.store, store)
    shutil.rmtree(store / "stim")
    done = clone("import", str(store))
    assert done.code == 1
    assert "not there  questions" in done.out
    assert "took       weights" in done.out


def changed(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", [WEIGHTS, "stimuli.jsonl", "trajectories.jsonl"])
def test_one_changed_byte_is_refused_and_nothing_is_taken(
    source: Typist, clone: Typist, workplace: Path, name: str
) -> None:
    store = workplace / "store"
    shutil.copytree(source.store, store)
    for path in store.rglob(name):
        changed(path)
    done = clone("import", str(store))
    assert done.code == 5
    assert "is not what recipe.yml records for" in done.err
    assert has_nothing(clone)


def test_a_changed_export_is_nobody_s(source: Typist, clone: Typist, workplace: Path) -> None:
    source.must("download", "--out", str(workplace / "export"))
    changed(workplace / "export" / WEIGHTS)
    done = clone("import", str(workplace / "export"))
    assert done.code == 5
    assert "no recipe of this repository names the weights" in done.err
    assert has_nothing(clone)


def test_links_are_not_followed(source: Typist, clone: Typist, workplace: Path) -> None:
    source.must("download", "--out", str(workplace / "export"))
    weights = workplace / "export" / WEIGHTS
    weights.rename(workplace / "elsewhere")
    weights.symlink_to(workplace / "elsewhere")
    done = clone("import", str(workplace / "export"))
    assert done.code == 5
    assert "is a symbolic link, which is not followed" in done.err


def test_configuration_beside_weights_is_not_believed(
    source: Typist, clone: Typist, workplace: Path
) -> None:
    source.must("download", "--out", str(workplace / "export"))
    path = workplace / "export" / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(config | {"lora_alpha": 9999, "use_dora": True}), encoding="utf-8")
    (workplace / "export/slices.json").write_text("[]", encoding="utf-8")
    clone.must("import", str(workplace / "export"))
    taken = json.loads((weights_of(clone, "second") / "adapter_config.json").read_text())
    assert taken["lora_alpha"] == taken["r"] == config["r"]
    assert "use_dora" not in taken


def test_what_stands_beside_rows_has_to_agree_with_the_recipe(
    source: Typist, clone: Typist, workplace: Path
) -> None:
    store = workplace / "store"
    shutil.copytree(source.store, store)
    for path in store.rglob("done.json"):
        told = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(told | {"count": 99, "notes": 3, "writers": 5}), "utf-8")
    for path in store.rglob("request.json"):
        path.write_text("[" * 100_000, encoding="utf-8")
    clone.must("import", str(store), "--all")
    for path in (clone.store / "target").rglob("done.json"):
        there = source.store / "target" / path.parent.name
        ours, theirs = (json.loads((f / "done.json").read_text()) for f in (path.parent, there))
        assert (ours["count"], ours["notes"]) == (theirs["count"], [])
        asked = (json.loads((f / "request.json").read_text()) for f in (path.parent, there))
        assert next(asked) == next(asked)
    assert clone.must("rollout", "--count") == "12\n"


def test_damaged_weights_are_replaced_and_kept_aside(source: Typist, clone: Typist) -> None:
    clone.must("import", str(source.root))
    damaged = weights_of(clone, "second") / WEIGHTS
    changed(damaged)
    broken = damaged.read_bytes()
    assert clone("download", "--out", "refused").code == 5
    clone.must("import", str(source.root))
    assert clone("download", "--out", "whole").code == 0
    (aside,) = (clone.store / "replaced").glob("bake-*")
    assert (aside / WEIGHTS).read_bytes() == broken


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nowhere"], 4, "there is no nowhere"),
        (["."], 4, "own store"),
        ([".", "second", "--all"], 2, "not both"),
        ([".", "nothing"], 3, "there is no model 'nothing'"),
    ],
)
def test_what_cannot_be_imported_is_refused(
    clone: Typist, words: list[str], code: int, told: str
) -> None:
    shutil.rmtree(clone.store, ignore_errors=True)
    done = clone("import", *words)
    assert done.code == code
    assert told in done.err
