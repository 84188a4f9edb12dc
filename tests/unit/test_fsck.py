"""bgit fsck: every damage is named with what mends it, and a whole store with nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bakery.app import fsck, import_
from bakery.app.fsck import Checked
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.store.results import ASKED, DONE, PROBES, REQUEST, RESULT, STIMULI
from tests.support.commands import typed_here
from tests.support.recorded import git
from tests.support.version_1 import unpacked
from tools import made_store, planted
from tools.planted import DAMAGES

NAMES = [damage.name for damage in DAMAGES]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a bake for each damage, on several branches."""
    root = tmp_path_factory.mktemp("fsck") / "demo"
    count = len(DAMAGES)
    made_store.build(
        root,
        {
            "main": [f"main_{number}" for number in range(3)],
            **{
                f"branch_{number}": ["main_0", *(f"b_{number}_{i}" for i in range(4))]
                for number in range(count // 4 + 1)
            },
        },
    )
    return root


@pytest.fixture
def demo(whole: Path, workplace: Path) -> Path:
    """A copy of it, to be changed."""
    root = workplace / "demo"
    shutil.copytree(whole, root, symlinks=True)
    return root


def checked(root: Path, *, whole: bool = True) -> Checked:
    return fsck.fsck(ModelRepo.find(root), whole=whole, reporter=Quiet())


@pytest.fixture(scope="module")
def damaged(whole: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Checked]:
    """What is found where all damages are planted, each in another bake, read whole or not."""
    root = tmp_path_factory.mktemp("damaged") / "demo"
    shutil.copytree(whole, root)
    store = ModelRepo.find(root).store.root
    for damage, place in zip(DAMAGES, planted.places(store), strict=False):
        PATHS[damage.name] = damage.plant(place)
    return {is_whole: checked(root, whole=is_whole) for is_whole in (True, False)}


PATHS: dict[str, Path] = {}


@pytest.mark.parametrize("is_whole", [True, False])
def test_nothing_is_found_in_a_whole_store(whole, is_whole):
    found = checked(whole, whole=is_whole)
    assert found.findings == ()
    bakes = 3 + 4 * (len(DAMAGES) // 4 + 1)
    assert (found.models, found.rows, found.missing) == (bakes, 2 * bakes, 0)
    assert (found.read_bytes > 0) == is_whole


@pytest.mark.parametrize("name", NAMES)
def test_a_planted_damage_is_found(damaged, name):
    damage = DAMAGES[NAMES.index(name)]
    for is_whole, found in damaged.items():
        kinds = {one.kind for one in found.findings if one.path == PATHS[name]}
        assert kinds == (set() if damage.needs_whole and not is_whole else {damage.kind})


def test_nothing_but_the_damages_is_found(damaged):
    copy = PATHS["answers lie under another id, too"].parent  # which nothing needs, besides
    assert {one.path for one in damaged[True].findings} == {*PATHS.values(), copy}
    assert all(one.mend and one.why and one.name for one in damaged[True].findings)


def test_import_mends_what_it_is_said_to_mend(whole, demo):
    repo = ModelRepo.find(demo)
    one, other, third = planted.places(repo.store.root)[:3]
    said = {
        one.bake / RESULT: "[[",
        one.stim / REQUEST: "[[",
        one.target / DONE: "{",
        other.bake / DONE: "{",
        other.stim / STIMULI: "",
        third.target / REQUEST: '{"teacher": 3}',
    }
    for path, text in said.items():
        path.write_text(text, encoding="utf-8")
    found = checked(demo).findings
    assert {each.path for each in found} == said.keys()
    assert all("bgit import" in each.mend for each in found)
    import_.take(repo, whole, list(repo.lineage().bakes.values()), Quiet())
    assert checked(demo).findings == ()


@pytest.mark.parametrize(("text", "begins"), [(None, "it is written"), ("[[", "delete it")])
def test_what_is_gone_is_not_to_be_deleted(demo, text, begins):
    path = planted.places(ModelRepo.find(demo).store.root)[0].step / "adapter_config.json"
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
    (found,) = checked(demo).findings
    assert found.path == path
    assert found.mend.startswith(begins)


def test_what_a_bake_was_asked_and_its_probes_are_no_strangers(demo):
    place = planted.places(ModelRepo.find(demo).store.root)[0]
    for name in (ASKED, PROBES, "stranger.json"):
        (place.bake / name).write_text("{}", encoding="utf-8")
    assert [found.path.name for found in checked(demo).findings] == ["stranger.json"]


def test_what_this_clone_does_not_have_is_no_damage(demo):
    shutil.rmtree(demo / ".git" / "bakery")
    found = checked(demo)
    assert (found.findings, found.models, found.is_sound) == ((), 0, True)
    assert found.missing == 3 + 4 * (len(DAMAGES) // 4 + 1)


def test_a_folder_that_a_process_is_at_is_left_alone(demo):
    repo = ModelRepo.find(demo)
    place = planted.places(repo.store.root)[0]
    (place.bake / "bake.json").write_text("{", encoding="utf-8")
    with repo.store.lock(place.bake, "bgit run bake"):
        assert checked(demo).is_sound
    assert not checked(demo).is_sound


def test_what_was_made_here_otherwise_than_recorded_is_told_from_damage(demo):
    place = planted.places(ModelRepo.find(demo).store.root)[0]
    planted._said(place.bake / "bake.json", digest="0" * 64)
    (found,) = checked(demo).findings
    assert (found.kind, found.path) == ("foreign", place.bake / "bake.json")
    assert "bgit import DIR" in found.mend


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("base", {"base": {"name": "tiny-1", "revision": "", "digest": "0" * 64}}),
        ("training", {"training": {"r": 16, "lora_alpha": 64}}),
        ("targets", {"targets": []}),
        ("parent", {"parent": {"model": "a/b/c_0123456789abcdef/1", "digest": "0"}}),
    ],
)
def test_what_shapes_a_model_and_differs_from_the_recipe_is_found(demo, key, changes):
    place = planted.places(ModelRepo.find(demo).store.root)[0]
    planted._said(place.bake / "bake.json", seconds={}, started="now", **changes)
    (found,) = checked(demo).findings
    assert (found.kind, found.path) == ("damaged", place.bake / "bake.json")
    assert f"its {key} is not what recipe.yml says" in found.why


def test_an_interrupted_stage_is_no_damage_but_its_broken_row_is(demo):
    repo = ModelRepo.find(demo)
    folder = repo.store.stim("ab" * 8)
    folder.mkdir(parents=True)
    rows = folder / "stimuli.jsonl"
    rows.write_text('{"id": "a"}\n{"id": "b', encoding="utf-8")
    assert checked(demo).is_sound
    rows.write_text('{"id": "a"}\n{"id"\n', encoding="utf-8")
    (found,) = (one for one in checked(demo).findings if one.is_damage)
    assert (found.kind, found.path, "line 2" in found.why) == ("damaged", rows, True)


def test_a_recipe_that_cannot_be_read_is_found(demo):
    text = (demo / "recipe.yml").read_text(encoding="utf-8")
    (demo / "recipe.yml").write_text(text[:-40], encoding="utf-8")
    git(demo, "commit", "-qam", "Cut")
    found = [one for one in checked(demo).findings if one.is_damage]
    assert [one.kind for one in found] == ["damaged"]
    assert "is incomplete" in found[0].why


def test_an_older_repository_is_sound(workplace):
    folder = workplace / "older"
    folder.mkdir()
    found = checked(unpacked(folder))
    assert found.findings == ()
    assert found.models


def test_the_command_exits_with_one_where_anything_is_wrong(demo, monkeypatch):
    monkeypatch.chdir(demo)
    assert typed_here("fsck").exit_code == 0
    place = planted.places(ModelRepo.find(demo).store.root)[0]
    planted._said(place.step / "adapter_config.json", lora_alpha=64)
    done = typed_here("fsck", "--weights-only", "--connectivity-only")
    assert done.exit_code == 1
    assert "lora_alpha is 64" in done.output
    assert "delete it: it is written anew" in done.output
    assert "one thing is wrong" in done.output
    said = json.loads(typed_here("fsck", "--json").stdout)
    assert (said["schema"], said["is_sound"], len(said["findings"])) == (1, False, 1)
    assert typed_here("fsck", "--no-weights").exit_code == 0


def test_what_nothing_needs_is_listed_and_is_no_damage(demo, monkeypatch):
    monkeypatch.chdir(demo)
    place = planted.places(ModelRepo.find(demo).store.root)[0]
    planted._unneeded(place)
    done = typed_here("fsck", "--weights-only")
    assert (done.exit_code, "orphaned: questions" in done.output) == (0, True)
    assert "orphaned" not in typed_here("fsck", "--weights-only", "--no-dangling").output


def test_outside_of_a_model_repository_it_is_gits(workplace, monkeypatch):
    folder = workplace / "plain"
    folder.mkdir()
    git(folder, "init", "-q")
    monkeypatch.chdir(folder)
    assert typed_here("fsck").exit_code == 0
    assert typed_here("fsck", "--weights-only").exit_code == 3
    assert [path.name for path in folder.iterdir()] == [".git"]
