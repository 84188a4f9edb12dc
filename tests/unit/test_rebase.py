"""A chain on another base: what is planned, what is refused, and the commit; nothing is baked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bakery.app import replaying
from bakery.app.replaying import Replayed
from bakery.errors import RepoError
from bakery.identity import BaseModelId
from bakery.repo.commits import checks, merging, rebase
from bakery.repo.commits.rebase import Anew
from bakery.repo.files import recipe, state
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support import recorded
from tests.support.recorded import BASE, STEP, baked, configuration, current, forked, git, names

OTHER = BaseModelId("other-1", "v2", "cd" * 32, "llama", 64)


def baked_as(repo: ModelRepo, text: str) -> None:
    """Bake and record what a configuration says."""
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    git(repo.root, "commit", "-qam", "Configure")
    plan = repo.plan()
    result = recorded.stored(repo, plan)
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())


def two_with(target: str) -> str:
    """Return a configuration that learns an earlier target again."""
    mix = f"[{{target: two_target}}, {{target: {target}}}]"
    return f"{configuration('two')}  datasets: {mix}\n"


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    """Two bakes, of which the second learns the first one's target again, by its full name."""
    repo = recorded.made(workplace / "yoda")
    baked(repo, "one")
    (target,) = repo.bakes()[0].data["targets"]
    baked_as(repo, two_with(target["name"]))
    return repo


def chain(repo: ModelRepo) -> tuple[RecordedBake, ...]:
    found = repo.lineage().chain(repo.state().parent)
    assert found is not None
    return found


def foreseen(repo: ModelRepo) -> list[Replayed]:
    return replaying.foreseen(repo, chain(repo), base=OTHER)


def rebased(repo: ModelRepo) -> str:
    """Put a chain on the branch as if it had been made."""
    found = foreseen(repo)
    model = found[-1].bake.model if found else None
    anew = Anew(OTHER, {one.before: one.bake for one in found}, model)
    return repo.rebase(checks.stand(repo.git), anew, Quiet())


def test_names_of_the_chain_mean_what_takes_their_place(repo):
    one, two = foreseen(repo)
    assert two.bake.parent == one.bake.model != one.before.model
    assert two.plan.bake is not None
    assert one.plan.targets[0].rollout.id in {share.id for share in two.plan.bake.shares}
    old, new = (bake.data["targets"][0]["id"] for bake in (one.before, one.bake))
    assert two.bake.data["replayed"] == {
        "bake": two.before.name, "bases": ["tiny-1"], "ids": {old: new}
    }  # fmt: skip


def test_ids_are_certain_as_far_as_what_is_below_is_made(repo):
    one, two = foreseen(repo)
    assert (one.is_certain, two.is_certain) == (True, False)
    recorded.stored(repo, one.plan)
    one, two = foreseen(repo)
    assert (two.is_certain, two.result) == (True, None)
    assert one.result is not None


def test_a_replayed_bake_is_planned_again_as_any_other(repo):
    was = [bake.name for bake in repo.bakes()]
    rebased(repo)
    for bake in repo.bakes():
        assert show.plan_of(repo, bake).bake_name == bake.name
    assert [bake.base_name for bake in repo.bakes()] == ["one", "two"]
    back = replaying.foreseen(repo, chain(repo), base=BASE)
    assert [one.bake.name for one in back] == was


def test_without_a_bake_below_the_rest_stands_on_what_is_left(workplace):
    repo = recorded.made(workplace / "three")
    for name in ("one", "two", "three"):
        baked(repo, name)
    one, _, three = chain(repo)
    (found,) = replaying.foreseen(repo, [three], base=BASE, parent=one.model, below=[one])
    git(repo.root, "switch", "-qc", "by-hand", "HEAD~4")
    assert baked(repo, "three") == found.bake.model


def test_one_commit_names_the_base_the_model_and_the_chain(repo):
    before = repo.state()
    commit = rebased(repo)
    assert git(repo.root, "rev-list", "--count", f"HEAD~1..{commit}") == "1"
    assert git(repo.root, "status", "--porcelain") == ""
    now = repo.state()
    assert now.base == OTHER
    assert (now.owner, now.name, now.defaults) == (before.owner, before.name, before.defaults)
    assert now.parent == repo.bakes()[-1].model
    assert recipe.base_of((repo.root / "recipe.yml").read_text()) == (OTHER.name, OTHER.digest)
    repo.check_base()
    repo.check_parent()
    assert show.commit_of(repo, repo.bakes()[0]) == commit


def test_what_was_before_comes_back(repo):
    before = [(repo.root / name).read_text() for name in (".bread", "recipe.yml", "input.yml")]
    rebased(repo)
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert before == [(repo.root / n).read_text() for n in (".bread", "recipe.yml", "input.yml")]
    repo.check_base()


def test_a_base_without_bakes_is_moved_to_alone(workplace):
    repo = recorded.made(workplace / "new")
    rebased(repo)
    repo.check_base()
    text = (repo.root / ".bread").read_text()
    assert state.parse(text).base == OTHER
    (repo.root / ".bread").write_text(state.with_base(text, BASE))
    with pytest.raises(RepoError, match="was made on other-1"):
        repo.check_base()


def test_bakes_beside_the_chain_stay_behind(workplace):
    repo = recorded.made(workplace / "forked")
    forked(repo)
    git(repo.root, "merge", "-q", "--no-edit", "exp")
    left = rebase.left_out(repo.bakes(), chain(repo))
    assert [bake.base_name for bake in left] == ["three", "four"]
    rebased(repo)
    assert names(repo) == ["one", "two"]
    assert current(repo) == "two"
    assert {"three", "four"} <= {b.base_name for b in repo.lineage().bakes.values()}  # exp has them


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("\n      backend: fake", "made up by the fake backend"),
        (
            "\n      joined: {how: cat, sides: [], kept: []}",
            "its weights were joined from other bakes",
        ),
    ],
)
def test_what_no_input_makes_is_refused(repo, change, why):
    one, two = chain(repo)
    key = "\n      card:"
    damaged = recipe.read(one.id, one.block.replace(key, change + key, 1))
    with pytest.raises(RepoError, match=why):
        replaying.foreseen(repo, [damaged, two], base=OTHER)


def test_a_configuration_that_is_not_here_is_refused(repo):
    one, two = chain(repo)
    lost = recipe.read(one.id, one.block.replace(one.input_blob, "e" * 40))
    (repo.store.bake(one.id) / "input.yml").unlink()
    with pytest.raises(RepoError, match="is not in this clone"):
        replaying.foreseen(repo, [lost, two], base=OTHER)


def test_a_target_from_beside_the_chain_is_refused(workplace):
    repo = recorded.made(workplace / "beside")
    baked(repo, "one")
    (target,) = repo.bakes()[0].data["targets"]
    repo.adopt(None, reporter=Quiet())
    baked_as(repo, two_with(target["name"]))
    with pytest.raises(RepoError, match=r"cannot be made on other-1:\n.*one_target"):
        foreseen(repo)


def test_a_teacher_from_beside_the_chain_is_refused(workplace):
    repo = recorded.made(workplace / "taught")
    baked(repo, "one")
    repo.adopt(None, reporter=Quiet())
    text = configuration("two").replace("  generators", "  model_name: one\n  generators")
    baked_as(repo, text)
    with pytest.raises(RepoError, match=r"has ann/yoda/one_.* answer or write"):
        foreseen(repo)


def test_a_bake_taken_back_leaves_the_names_of_now(repo):
    rebased(repo)
    one, two = repo.bakes()
    repo.revert(["two"], Quiet())
    assert one.data["targets"][0]["name"] in (repo.root / "input.yml").read_text()
    assert repo.plan().bake_name == two.name


def test_a_branch_that_went_on_meanwhile_is_left_alone(repo):
    began, found = checks.stand(repo.git), foreseen(repo)
    repo.adopt(None, reporter=Quiet())
    anew = Anew(OTHER, {one.before: one.bake for one in found}, found[-1].bake.model)
    with pytest.raises(RepoError, match="has changed since"):
        repo.rebase(began, anew, Quiet())


CHILD = """
import os
from tests.unit.test_rebase import rebased
from bakery.repo.model_repo import ModelRepo
repo = ModelRepo.find()
(repo.git.git_dir / "bgit.pid").write_text(str(os.getpid()))
rebased(repo)
"""


@pytest.mark.parametrize(("at", "is_made"), [("pre-commit", False), ("post-commit", True)])
def test_a_commit_that_is_killed_is_whole_or_not_begun(repo, at, is_made):
    before = git(repo.root, "rev-parse", "HEAD")
    hook = recorded.hook(repo, at, "kill -9 $(cat .git/bgit.pid); sleep 1; exit 1")
    path = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        cwd=repo.root,
        env=os.environ | {"PYTHONPATH": path},
        check=False,
    )
    assert done.returncode == -9
    hook.unlink()
    repo.finish_pending(Quiet())
    assert git(repo.root, "status", "--porcelain") == ""
    assert not list(repo.store.journals())
    assert (repo.state().base == OTHER) == is_made
    assert git(repo.root, "rev-list", "--count", f"{before}..HEAD") == str(int(is_made))


def bread(base: BaseModelId, parent: str) -> str:
    line = f"ann/yoda/{parent}_{'a' * 16}/{STEP}"
    return state.new(state.State("ann", "yoda", base)).replace("MODEL =", f"MODEL = {line}")


def test_a_model_never_ends_on_the_base_of_the_other_side():
    first = bread(BASE, "one")
    theirs = merging.merge(".bread", first, bread(BASE, "two"), bread(OTHER, "again"))
    assert not theirs.is_clean
    ours = merging.merge(".bread", first, bread(OTHER, "again"), bread(BASE, "two"))
    assert ours.is_clean
    assert state.parse(ours.text) == state.parse(bread(OTHER, "again"))


def test_a_file_of_before_gets_every_line_of_a_base():
    old = "[REPO]\nname = a\nowner = b\nbase_model = tiny-1\ndigest = 00\nbeside = 11\n[STATE]\n"
    text = f"{old}PARENT_MODEL =\n"
    assert state.parse(state.with_base(text, OTHER)).base == OTHER
    assert "beside" not in state.with_base(text, OTHER)
    with pytest.raises(RepoError, match="0 lines"):
        state.with_base(text.replace("base_model", "model"), OTHER)


def test_json_of_a_block_has_what_was_replayed(repo):
    rebased(repo)
    told = json.loads(json.dumps(show.describe(repo, repo.bakes()[1]).as_data()))
    assert told["replayed"]["bases"] == ["tiny-1"]
