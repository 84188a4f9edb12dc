"""The tree of bakes, and how a model is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from bakery.errors import RepoError
from bakery.records import ModelRef
from bakery.repo.files import recipe, state
from bakery.repo.files.state import State
from bakery.repo.git import Blob, Git
from bakery.repo.history import lineage, recipe_cache
from bakery.repo.history.lineage import Lineage
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import BASE, STEP, baked, committed, forked, git, result_of


def shape(tree: Lineage) -> list[tuple[int, str, tuple[str, ...]]]:
    return [(depth, node.bake.base_name, node.branches) for depth, node in tree.walk()]


def test_bakes_are_nested_by_their_own_parents(repo):
    forked(repo, on="exp")
    assert sorted(shape(repo.lineage())) == [
        (0, "one", ()),
        (1, "three", ()),
        (1, "two", ("main",)),
        (2, "four", ("exp",)),
    ]


def test_siblings_stand_in_the_order_of_this_branch_s_recipe(repo):
    forked(repo, on="exp")
    git(repo.root, "branch", "a", "main")
    git(repo.root, "merge", "-q", "--no-edit", "main")
    assert [name for _, name, _ in shape(repo.lineage())] == ["one", "three", "four", "two"]


def test_the_current_model_is_marked(repo):
    forked(repo, on="exp")
    tree = repo.lineage()
    assert [n.bake.base_name for _, n in tree.walk() if n.is_current] == ["four"]
    assert tree.current == repo.state().parent


def test_branches_at_the_base_model_are_known(repo):
    git(repo.root, "branch", "fresh")
    baked(repo, "one")
    assert [branch.name for branch in repo.lineage().at_base] == ["fresh"]


def test_tags_name_models_and_keep_bakes_that_no_branch_has(repo):
    forked(repo, on="exp")
    git(repo.root, "tag", "-m", "kept", "v1")
    git(repo.root, "switch", "-q", "main")
    git(repo.root, "branch", "-qD", "exp")
    tags = {n.bake.base_name: n.tags for _, n in repo.lineage().walk()}
    assert tags == {"one": (), "two": (), "three": (), "four": ("v1",)}


def test_remote_branches_count_where_no_local_one_stands_there(repo, workplace):
    forked(repo, on="exp")
    clone = workplace / "clone"
    git(workplace, "clone", "-q", str(repo.root), str(clone))
    tree = ModelRepo.find(clone).lineage()
    assert {b.name for b in tree.branches} == {"exp", "origin/main"}
    assert len(list(tree.walk())) == 4


def test_a_detached_head_is_a_place(repo):
    forked(repo, on="exp")
    git(repo.root, "switch", "-q", "--detach", "HEAD")
    assert [b.name for b in repo.lineage().branches if b.is_current] == ["HEAD"]


def test_a_branch_without_a_model_is_left_out(repo):
    baked(repo, "one")
    git(repo.root, "switch", "-q", "--orphan", "pages")
    git(repo.root, "commit", "-q", "--allow-empty", "-m", "Pages")
    git(repo.root, "switch", "-q", "main")
    assert [b.name for b in repo.lineage().branches] == ["main"]


def test_a_damaged_branch_spoils_no_other(repo):
    forked(repo, on="exp")
    (repo.root / "recipe.yml").write_text("<<<<<<< ours\n", encoding="utf-8")
    git(repo.root, "commit", "-qam", "Oops")
    tree = repo.lineage()
    assert [n.bake.base_name for _, n in tree.walk()] == ["one", "two"]
    assert "exp:recipe.yml:1: a merge conflict" in tree.problems[0]


def test_a_long_chain_and_many_branches_are_read(workplace):
    git(workplace, "init", "-q")
    repository = Git.find(workplace)
    stream = []
    chain: list[tuple[ModelRef, str]] = []
    for number in range(300):
        model = ModelRef("ann", "yoda", f"b_{number:016x}", 1)
        parent = chain[-1][0] if chain else None
        result = {
            "digest": "0",
            "parent": {"model": str(parent), "digest": "0"} if parent else None,
            "targets": [],
            "training": {"r": 16},
        }
        chain.append((model, recipe.block(result, model=model, input_blob="0")))
    for number in range(0, 300, 6):
        bread = state.new(State("ann", "yoda", BASE, chain[number + 5][0]))
        text = recipe.new("tiny-1") + "".join(block for _, block in chain[: number + 6])
        stream.append(f"commit refs/heads/b{number}\ncommitter A <a@b> 0 +0000\ndata 0\n")
        for path, content in ((".bread", bread), ("recipe.yml", text)):
            size = len(content.encode())
            stream.append(f"M 644 inline {path}\ndata {size}\n{content}\n")
    repository.run("fast-import", "--quiet", stdin="".join(stream).encode())
    walked = [depth for depth, _ in lineage.read(repository, "tiny-1").walk()]
    assert walked == list(range(300))


def test_a_model_goes_by_many_names(repo):
    forked(repo, on="exp")
    git(repo.root, "tag", "v1", "HEAD~2")
    four = repo.bakes()[-1]
    assert repo.find_model("parent") == four
    assert repo.find_model(str(four.model)) == four
    assert repo.find_model(four.name) == four
    assert repo.find_model("four") == four
    assert repo.find_model(four.id[:6]) == four
    for name in (four.name, "four", four.id[:6]):
        assert repo.find_model(f"{name}/{four.model.step}") == four
        with pytest.raises(RepoError, match="has no step 7"):
            repo.find_model(f"{name}/7")
    assert repo.find_model("HEAD") == four
    for name in ("v1", "HEAD~2", "three"):
        found = repo.find_model(name)
        assert found is not None
        assert found.base_name == "three"
    assert repo.find_model("two") is not None
    main = repo.find_model("main")
    assert main is not None
    assert main.base_name == "two"


@pytest.mark.parametrize("name", ["base", "tiny-1"])
def test_the_base_model_is_no_bake(repo, name):
    baked(repo, "one")
    assert repo.find_model(name) is None


def test_before_the_first_bake_the_parent_is_the_base_model(repo):
    assert repo.find_model("parent") is None
    assert repo.find_model("HEAD") is None


def test_this_branch_wins_where_a_name_is_on_two(repo):
    git(repo.root, "branch", "exp")
    baked(repo, "same", "You are one.")
    git(repo.root, "switch", "-q", "exp")
    here = baked(repo, "same", "You are another.")
    found = repo.find_model("same")
    assert found is not None
    assert found.model == here


def test_an_ambiguous_name_lists_what_it_may_mean(repo):
    first, second = baked(repo, "same"), baked(repo, "same")
    with pytest.raises(RepoError, match="may mean") as caught:
        repo.find_model("same")
    assert str(first) in caught.value.message
    assert str(second) in caught.value.message


def test_an_unknown_name_lists_what_there_is(repo):
    model = baked(repo, "yoda_bake")
    with pytest.raises(RepoError, match="there is no model 'yoda_bakr'") as caught:
        repo.find_model("yoda_bakr")
    assert str(model) in (caught.value.hint or "")


def test_a_bake_that_was_taken_back_says_how_it_comes_back(repo):
    model = baked(repo, "one")
    made_by = git(repo.root, "rev-parse", "HEAD")
    repo.revert(["one"], Quiet())
    commit = git(repo.root, "rev-parse", "--short", "HEAD")
    for name in ("one", model.bake, model.bake_id, str(model), made_by):
        with pytest.raises(RepoError, match=f"taken back, by commit {commit}") as caught:
            repo.find_model(name)
        assert f"`bgit revert {commit}` brings it back" in (caught.value.hint or "")
    git(repo.root, "revert", "--no-edit", "HEAD")
    assert repo.find_model("one").model == model


def test_an_unknown_step_lists_the_known_ones(repo):
    model = baked(repo, "one")
    with pytest.raises(RepoError, match="has no step 99"):
        repo.find_model(f"ann/yoda/{model.bake}/99")


def test_a_kept_step_goes_by_its_whole_name(repo):
    plan = committed(repo, "one")
    kept = [{"step": 4, "digest": "44" * 32}]
    result = {**result_of(plan), "checkpoints": kept}
    repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    last = plan.model_ref(STEP)
    assert repo.find_model("one").model == last == repo.state().parent
    half = repo.find_model(str(replace(last, step=4)))
    assert (half.model.step, half.digest_of(4)) == (4, "44" * 32)


def test_a_long_history_is_read_from_git_once(repo, monkeypatch):
    monkeypatch.setattr(recipe_cache, "LEAST_BYTES", 0)
    forked(repo, on="exp")
    first = repo.lineage()
    asked: list[str] = []
    read = Git.stream

    def counted(git: Git, ids: Sequence[str]) -> Iterator[Blob]:
        asked.extend(ids)
        return read(git, ids)

    monkeypatch.setattr(Git, "stream", counted)
    assert repo.lineage() == first
    assert asked == []
    baked(repo, "five")
    assert len(list(repo.lineage().walk())) == 5
    assert len(asked) == 2  # its .bread and its recipe


BROKEN = [
    "",
    "{}",
    "[]",
    '{"schema": 1, "blocks": [], "recipes": {}}',
    '{"schema": 2, "blocks": []}',
    '{"schema": 2, "blocks": [1], "recipes": {}, "states": {}}',
    '{"schema": 2, "blocks": ["a"], "recipes": {"%s": ["", [1]]}, "states": {}}',
    "[" * 100_000,
]


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_a_broken_cache_is_made_anew(repo, monkeypatch, text):
    monkeypatch.setattr(recipe_cache, "LEAST_BYTES", 0)
    forked(repo, on="exp")
    first = repo.lineage()
    text = text.replace("%s", repo.git.run("rev-parse", "HEAD:recipe.yml"))
    (repo.git.common_dir / "bakery" / "recipes.json").write_text(text, encoding="utf-8")
    assert repo.lineage() == first
