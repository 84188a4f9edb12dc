"""Merging by git, with bgit's driver: no bake is lost or doubled, one model is current."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.errors import ConfigError, RepoError
from bakery.records import ModelRef
from bakery.repo import merging, recipe, state
from bakery.repo.model_repo import ModelRepo
from bakery.repo.overview import status
from bakery.reporting import Quiet
from tests.support.recorded import BASE, baked, committed, git, made


def ref(number: int) -> ModelRef:
    return ModelRef("ann", "yoda", f"b_{number:016x}", 1)


def block(number: int, parent: int | None = None, digest: str = "0") -> str:
    link = {"model": str(ref(parent)), "digest": "0"} if parent is not None else None
    result = {"digest": digest, "parent": link, "targets": []}
    return recipe.block(result, model=ref(number), input_blob="0")


def of(*blocks: str) -> str:
    return recipe.new("tiny-1") + "".join(blocks)


def merged_ids(base: str, ours: str, theirs: str) -> list[int]:
    done = merging.merge("recipe.yml", base, ours, theirs)
    assert "<<<<<<<" not in done.text
    return [int(bake.id, 16) for bake in recipe.parse(done.text)]


ONE = block(1)


def test_a_recipe_becomes_the_union_ours_first():
    ours, theirs = of(ONE, block(2, 1)), of(ONE, block(3, 1), block(4, 3))
    assert merged_ids(of(ONE), ours, theirs) == [1, 2, 3, 4]


def test_a_bake_made_on_both_sides_is_there_once():
    assert merged_ids(of(), of(ONE, block(2, 1)), of(ONE, block(3, 1))) == [1, 2, 3]


def test_what_one_side_took_back_is_gone():
    assert merged_ids(of(ONE, block(2, 1)), of(ONE), of(ONE, block(2, 1), block(5))) == [1, 5]


def test_what_the_other_side_has_baked_on_since_comes_back_and_is_named():
    base, ours, theirs = of(ONE), of(), of(ONE, block(2, 1))
    done = merging.merge("recipe.yml", base, ours, theirs)
    assert [bake.model for bake in recipe.parse(done.text)] == [ref(1), ref(2)]
    assert done.is_clean
    assert f"{ref(1).bake} comes along: what is merged was baked on it" in done.notes[0]


def test_what_the_other_side_took_back_and_ours_has_baked_on_is_for_a_person_to_decide():
    done = merging.merge("recipe.yml", of(ONE), of(ONE, block(2, 1)), of())
    assert [bake.model for bake in recipe.parse(done.text)] == [ref(1), ref(2)]
    assert not done.is_clean
    assert "`git add recipe.yml` accepts that" in done.notes[0]


def test_a_picked_bake_brings_what_it_was_baked_on():
    base = of(ONE, block(2, 1))
    assert merged_ids(base, of(block(9)), of(ONE, block(2, 1), block(3, 2))) == [9, 1, 2, 3]


def test_whatever_both_sides_did_no_bake_is_lost_doubled_or_before_its_parent():
    draw = random.Random(11)
    parents = {n: draw.choice([None, *range(max(n - 4, 1), n)]) for n in range(1, 25)}
    texts = {n: block(n, parent) for n, parent in parents.items()}

    def closed(numbers: set[int]) -> set[int]:
        return numbers | {
            p for n in numbers for p in closed({q for q in [parents[n]] if q}) if numbers
        }

    def side(before: set[int]) -> list[int]:
        taken = {n for n in before if draw.random() < 0.2}
        kept = {n for n in before if not closed({n}) & taken}
        return sorted(kept | closed({n for n in parents if draw.random() < 0.2} - taken) - taken)

    for _ in range(200):
        base = closed({n for n in parents if draw.random() < 0.3})
        ours, theirs = side(base), side(base)
        found = merged_ids(*(of(*(texts[n] for n in x)) for x in (sorted(base), ours, theirs)))
        assert len(found) == len(set(found))
        gone = {n for n in base if (n in ours) != (n in theirs)}
        wanted = (set(ours) | set(theirs)) - gone
        assert wanted <= set(found) <= wanted | gone
        for n in found:
            assert parents[n] not in found[found.index(n) :]
            assert parents[n] is None or parents[n] in found or parents[n] not in {*ours, *theirs}


def test_text_between_blocks_stays_where_it_was():
    ours = of(ONE) + "    # mine\n" + block(2, 1)
    done = merging.merge("recipe.yml", of(ONE), ours, of(ONE, block(3, 1)))
    assert done.text == ours + block(3, 1)


def test_text_that_the_other_side_added_comes_along():
    theirs = of(ONE, block(3, 1)).replace("schema: 1\n", "schema: 1\n# theirs\n")
    done = merging.merge("recipe.yml", of(ONE), of(ONE, block(2, 1)), theirs)
    assert "# theirs\n" in done.text
    assert [int(b.id, 16) for b in recipe.parse(done.text)] == [1, 2, 3]


def test_two_machines_weights_of_one_bake_are_named():
    done = merging.merge("recipe.yml", of(), of(block(1, None, "a")), of(block(1, None, "b")))
    assert "has other weights on each side: ours are recorded" in done.notes[0]
    assert recipe.parse(done.text)[0].digest == "a"


def test_windows_line_ends_are_no_difference():
    theirs = of(ONE, block(3, 1)).replace("\n", "\r\n")
    assert merged_ids(of(ONE), of(ONE, block(2, 1)), theirs) == [1, 2, 3]


@pytest.mark.parametrize(
    "broken", ["<<<<<<< x\n", "resources: [\n", "\udcff", "when: 2030-99-99\n"]
)
@pytest.mark.parametrize("path", ["recipe.yml", ".bread"])
def test_a_file_that_cannot_be_read_is_an_ordinary_conflict(path, broken):
    done = merging.merge(path, of(ONE), of(ONE, block(2, 1)), broken)
    assert not done.is_clean
    assert len(done.notes) == 1
    assert path in done.notes[0]
    assert broken in done.text


@pytest.mark.parametrize("path", [".bread", "recipe.yml", "input.yml"])
def test_binary_data_is_a_conflict_too(path):
    done = merging.merge(path, "", "BAKE: 1\n", "BAKE: \x00")
    assert (done.is_clean, done.text) == (False, "BAKE: 1\n")


def bread(parent: int, name: str = "yoda") -> str:
    return state.new(state.State("ann", name, BASE, ref(parent)))


def test_the_model_of_the_side_that_changed_it_is_taken():
    done = merging.merge(".bread", bread(1), bread(1, "luke"), bread(2))
    assert (done.is_clean, done.notes) == (True, ())
    now = state.parse(done.text)
    assert (now.name, now.parent) == ("luke", ref(2))


def test_of_two_models_ours_stays_and_the_way_to_theirs_is_said():
    done = merging.merge(".bread", bread(1), bread(2), bread(3))
    assert done.is_clean
    assert state.parse(done.text).parent == ref(2)
    assert f"`bgit adopt {ref(3).bake}` takes {ref(3)} instead" in done.notes[0]


def test_another_key_that_both_changed_is_a_conflict():
    done = merging.merge(".bread", bread(1), bread(1, "luke"), bread(2, "leia"))
    assert not done.is_clean


ACTIVE, OTHER, BAKED = "BAKE:\n  name: a\n", "BAKE:\n  name: b\n", "# BAKE:\n#   name: z\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "result"),
    [
        (BAKED, ACTIVE, ACTIVE),
        (ACTIVE, BAKED, ACTIVE),
        (BAKED, "# something else\n", BAKED),
        ("# BAKE:\n#   name: a\n", ACTIVE, "# BAKE:\n#   name: a\n"),
        (ACTIVE, "# BAKE:\n#   name: a\n", "# BAKE:\n#   name: a\n"),
    ],
)
def test_the_configuration_is_taken_that_is_still_to_be_baked(ours, theirs, result):
    done = merging.merge("input.yml", "", ours, theirs)
    assert (done.is_clean, done.text) == (True, result)


def test_two_configurations_are_a_conflict():
    done = merging.merge("input.yml", BAKED, ACTIVE, OTHER)
    assert not done.is_clean
    assert "<<<<<<< ours" in done.text


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    return made(workplace / "ä model")


def forked(repo: ModelRepo) -> None:
    """main: one, two. exp (from after one): three, four. Stands on main."""
    baked(repo, "one")
    git(repo.root, "branch", "exp")
    baked(repo, "two")
    git(repo.root, "switch", "-q", "exp")
    baked(repo, "three")
    baked(repo, "four")
    git(repo.root, "switch", "-q", "main")


def names(repo: ModelRepo) -> list[str]:
    return [bake.base_name for bake in repo.bakes()]


def current(repo: ModelRepo) -> str:
    parent = repo.state().parent
    return parent.bake[:-17] if parent else "base"


def is_clean(repo: ModelRepo) -> bool:
    return git(repo.root, "status", "--porcelain") == ""


def test_a_merge_keeps_every_bake_and_our_model(repo):
    forked(repo)
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")
    assert is_clean(repo)
    assert repo.plan().is_empty
    parents = {bake.base_name: bake.parent for bake in repo.bakes()}
    assert parents["three"] == parents["two"]


def test_a_merge_of_a_branch_that_only_baked_takes_its_model(repo):
    baked(repo, "one")
    git(repo.root, "switch", "-qc", "exp")
    baked(repo, "two")
    git(repo.root, "switch", "-q", "main")
    (repo.root / "notes.md").write_text("mine\n", encoding="utf-8")
    git(repo.root, "add", "notes.md")
    git(repo.root, "commit", "-qm", "Notes")
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert (names(repo), current(repo)) == (["one", "two"], "two")


def test_a_squash_keeps_every_bake_too(repo):
    forked(repo)
    git(repo.root, "merge", "-q", "--squash", "exp")
    git(repo.root, "commit", "-qm", "All of exp")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")


def test_a_rebase_moves_bakes_and_they_keep_their_recorded_parents(repo):
    forked(repo)
    git(repo.root, "switch", "-q", "exp")
    before = repo.bakes()
    git(repo.root, "rebase", "-q", "main")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")
    assert [b for b in repo.bakes() if b.base_name != "two"] == before
    assert is_clean(repo)


def test_a_rebase_over_other_work_keeps_the_model(repo):
    baked(repo, "one")
    git(repo.root, "switch", "-qc", "exp")
    baked(repo, "two")
    git(repo.root, "switch", "-q", "main")
    git(repo.root, "commit", "-q", "--allow-empty", "-m", "Other work")
    git(repo.root, "switch", "-q", "exp")
    git(repo.root, "rebase", "-q", "main")
    assert (names(repo), current(repo)) == (["one", "two"], "two")


def test_a_cherry_picked_bake_brings_its_parents_blocks(repo):
    forked(repo)
    git(repo.root, "cherry-pick", "exp")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")
    assert is_clean(repo)


def test_the_revert_of_a_merge_takes_its_bakes_out(repo):
    forked(repo)
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    baked(repo, "five")
    git(repo.root, "revert", "--no-edit", "-m", "1", "HEAD~2")
    assert (names(repo), current(repo)) == (["one", "two", "five"], "five")


def test_git_s_revert_of_a_bake_that_others_stand_on_stops_and_says_so(repo):
    baked(repo, "one")
    baked(repo, "two")
    git(repo.root, "revert", "--no-edit", "HEAD~2", fails=True)
    assert "recipe.yml" in git(repo.root, "diff", "--name-only", "--diff-filter=U")
    git(repo.root, "revert", "--abort")
    assert (names(repo), current(repo)) == (["one", "two"], "two")


def test_a_criss_cross_merge_doubles_nothing(repo):
    forked(repo)
    git(repo.root, "branch", "main-before")
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    git(repo.root, "switch", "-q", "exp")
    git(repo.root, "merge", "-q", "--no-edit", "main-before")
    baked(repo, "five")
    git(repo.root, "switch", "-q", "main")
    baked(repo, "six")
    done = subprocess.run(
        ["git", "merge", "-q", "--no-edit", "exp"], cwd=repo.root, capture_output=True, text=True
    )
    assert done.stderr.count("the model stays") == 1
    assert sorted(names(repo)) == ["five", "four", "one", "six", "three", "two"]
    assert current(repo) == "six"
    order = [bake.id for bake in repo.bakes()]
    for bake in repo.bakes():
        assert bake.parent is None or order.index(bake.parent.bake_id) < order.index(bake.id)


def test_an_octopus_of_bakes_is_refused_whole(repo):
    forked(repo)
    git(repo.root, "switch", "-qc", "third", "exp~1")
    baked(repo, "five")
    git(repo.root, "switch", "-q", "main")
    head = git(repo.root, "rev-parse", "HEAD")
    git(repo.root, "merge", "-q", "exp", "third", fails=True)
    git(repo.root, "reset", "-q", "--hard")
    assert git(repo.root, "rev-parse", "HEAD") == head
    assert (names(repo), current(repo)) == (["one", "two"], "two")


def test_two_next_configurations_conflict_in_input_yml_alone(repo):
    forked(repo)
    committed(repo, "next_here")
    git(repo.root, "switch", "-q", "exp")
    committed(repo, "next_there")
    git(repo.root, "switch", "-q", "main")
    git(repo.root, "merge", "-q", "--no-edit", "exp", fails=True)
    assert git(repo.root, "diff", "--name-only", "--diff-filter=U") == "input.yml"
    assert names(repo) == ["one", "two", "three", "four"]


def test_a_conflict_in_input_yml_is_named_with_its_line(repo):
    forked(repo)
    committed(repo, "next_here")
    git(repo.root, "switch", "-q", "exp")
    committed(repo, "next_there")
    git(repo.root, "switch", "-q", "main")
    git(repo.root, "merge", "-q", "--no-edit", "exp", fails=True)
    with pytest.raises(ConfigError, match=r"input\.yml:\d+:1: a merge conflict is not resolved"):
        repo.plan("worktree")
    assert "a merge conflict" in (status(repo).draft_problem or "")


def test_the_side_with_a_next_configuration_gives_input_yml(repo):
    forked(repo)
    git(repo.root, "switch", "-q", "exp")
    committed(repo, "next_there")
    git(repo.root, "switch", "-q", "main")
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert "name: next_there" in (repo.root / "input.yml").read_text("utf-8")
    assert not repo.plan().is_empty


def test_a_clone_without_bgit_conflicts_and_its_conflict_is_merged_anew(repo, workplace):
    forked(repo)
    clone = workplace / "clone"
    git(workplace, "clone", "-q", str(repo.root), str(clone))
    git(clone, "merge", "-q", "--no-edit", "origin/exp", fails=True)
    other = ModelRepo.find(clone)
    with pytest.raises(RepoError, match="a merge conflict is not resolved") as caught:
        other.bakes()
    command = (caught.value.hint or "").split("`")[1]
    assert command == "git checkout --merge -- .bread recipe.yml"
    other.finish_pending(Quiet())
    git(clone, *command.split()[1:], "input.yml")
    assert (names(other), current(other)) == (["one", "two", "three", "four"], "two")


def test_any_command_makes_a_clone_merge_by_the_driver(repo, workplace):
    forked(repo)
    clone = workplace / "clone"
    git(workplace, "clone", "-q", str(repo.root), str(clone))
    other = ModelRepo.find(clone)
    other.finish_pending(Quiet())
    git(clone, "merge", "-q", "--no-edit", "origin/exp")
    assert names(other) == ["one", "two", "three", "four"]


def test_a_driver_of_an_installation_that_is_gone_is_replaced(repo):
    good = git(repo.root, "config", "merge.bgit.driver")
    git(repo.root, "config", "merge.bgit.driver", "/gone/python -m bakery.cli.merge_driver")
    merging.install(repo.git)
    assert git(repo.root, "config", "merge.bgit.driver") == good


def test_a_clone_that_cannot_be_written_to_merges_as_text(repo):
    git(repo.root, "config", "--unset", "merge.bgit.driver")
    attributes = repo.git.common_dir / "info" / "attributes"
    attributes.unlink()
    attributes.mkdir()
    (repo.git.common_dir / "config.lock").touch()
    merging.install(repo.git)
    assert git(repo.root, "config", "--get", "merge.bgit.driver", fails=True) == ""


def test_a_driver_in_a_folder_with_odd_signs_is_found(repo, workplace, monkeypatch):
    place = workplace / "100%O 'ä'"
    place.mkdir()
    (place / "python").symlink_to(sys.executable)
    monkeypatch.setattr(merging.sys, "executable", str(place / "python"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    merging.install(repo.git)
    monkeypatch.undo()
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    forked(repo)
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert names(repo) == ["one", "two", "three", "four"]


def test_repositories_that_forbid_merging_are_merged_all_the_same(repo):
    attributes = repo.root / ".gitattributes"
    attributes.write_text("/.bread -merge\n/recipe.yml merge=keepTheirs\n", encoding="utf-8")
    git(repo.root, "commit", "-qam", "As it was once")
    forked(repo)
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    assert (names(repo), current(repo)) == (["one", "two", "three", "four"], "two")


def test_what_a_person_wrote_into_info_attributes_stays(repo):
    path = repo.git.common_dir / "info" / "attributes"
    path.write_text("*.png binary", encoding="utf-8")
    merging.install(repo.git)
    merging.install(repo.git)
    text = path.read_text("utf-8")
    assert text.startswith("*.png binary\n")
    assert text.count("merge=bgit") == 3
