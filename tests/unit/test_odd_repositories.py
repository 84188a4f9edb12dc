"""Repositories of every kind that git knows: each works, or is refused in plain words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bakery.errors import RepoError
from bakery.repo.git import Git
from bakery.repo.look.status import status
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import baked, git, made


@pytest.fixture
def repo(workplace: Path) -> ModelRepo:
    repo = made(workplace / "a ü model")
    baked(repo, "one")
    return repo


def bakes_here(root: Path) -> list[str]:
    """Look at a repository as `status` and `tree` do; return the bakes of its tree."""
    repo = ModelRepo.find(root)
    repo.finish_pending(Quiet())
    assert status(repo).repository == "ann/yoda"
    tree = repo.lineage()
    assert tree.problems == ()
    return [node.bake.base_name for _, node in tree.walk()]


def test_a_detached_head_shows_and_refuses_to_bake(repo):
    git(repo.root, "switch", "-q", "--detach")
    assert bakes_here(repo.root) == ["one"]
    with pytest.raises(RepoError, match="HEAD is detached: a bake belongs to a branch"):
        repo.adopt(None, reporter=Quiet())


def test_a_branch_without_commits_shows_what_others_have(repo):
    git(repo.root, "checkout", "-q", "--orphan", "new")
    assert bakes_here(repo.root) == ["one"]


def test_a_bare_repository_is_refused_in_plain_words(repo, workplace):
    git(workplace, "clone", "-q", "--bare", str(repo.root), "bare.git")
    for place in (workplace / "bare.git", repo.root / ".git"):
        with pytest.raises(RepoError, match=r"bare repository, or inside a \.git folder"):
            ModelRepo.find(place)


def test_a_shallow_clone_has_the_whole_tree(repo, workplace):
    baked(repo, "two")
    git(workplace, "clone", "-q", "--depth", "1", repo.root.as_uri(), "shallow")
    assert bakes_here(workplace / "shallow") == ["one", "two"]


def test_a_sparse_checkout_says_what_it_lacks(repo, workplace):
    git(workplace, "clone", "-q", str(repo.root), "sparse")
    sparse = workplace / "sparse"
    git(sparse, "sparse-checkout", "set", "--no-cone", "/README.md")
    with pytest.raises(RepoError, match=r"\.bread is missing") as caught:
        ModelRepo.find(sparse)
    command = (caught.value.hint or "").split("`")[1]
    git(sparse, *command.split()[1:], "/recipe.yml", "/input.yml")
    assert bakes_here(sparse) == ["one"]


def test_a_sha256_repository_bakes(repo, workplace):
    root = workplace / "long ids"
    git(workplace, "init", "-q", "--object-format=sha256", str(root))
    for name in (".bread", "recipe.yml", "input.yml", ".gitattributes"):
        (root / name).write_bytes((repo.root / name).read_bytes())
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Start")
    other = ModelRepo.find(root)
    baked(other, "two")
    assert bakes_here(root) == ["one", "two"]
    assert git(root, "status", "--porcelain") == ""


def test_a_submodule_bakes(repo, workplace):
    outer = workplace / "outer"
    git(workplace, "init", "-q", str(outer))
    allow = ("-c", "protocol.file.allow=always")
    git(outer, *allow, "submodule", "--quiet", "add", str(repo.root), "sub")
    baked(ModelRepo.find(outer / "sub"), "two")
    assert bakes_here(outer / "sub") == ["one", "two"]
    with pytest.raises(RepoError, match="is not a bgit repository"):
        ModelRepo.find(outer)


def test_windows_line_ends_in_the_folder_are_no_change(repo, workplace):
    git(workplace, "-c", "core.autocrlf=true", "clone", "-q", str(repo.root), "crlf")
    other = ModelRepo.find(workplace / "crlf")
    git(other.root, "config", "core.autocrlf", "true")
    baked(other, "two")
    assert bakes_here(other.root) == ["one", "two"]
    assert git(other.root, "status", "--porcelain") == ""


@pytest.mark.parametrize("name", ["日本語/ü", "a\u2028b", "x\u0085y", "emoji-🍞", "a&b'c"])
def test_any_branch_name_is_shown(repo, name):
    git(repo.root, "switch", "-qc", name)
    baked(repo, "two")
    assert bakes_here(repo.root) == ["one", "two"]
    assert name in [branch.name for branch in repo.lineage().branches]


def test_other_working_trees_are_known(repo, workplace):
    git(repo.root, "worktree", "add", "-q", "-b", "exp", str(workplace / "wt ä"))
    git(repo.root, "worktree", "add", "-q", "--detach", str(workplace / "wt2"))
    places = {place.name: place.worktree for place in repo.lineage().branches}
    assert Path(places["exp"] or "").name == "wt ä"
    assert f"HEAD of {workplace / 'wt2'}" in places
    there = ModelRepo.find(workplace / "wt2").lineage()
    assert {p.name for p in there.branches} == {"HEAD", "main", "exp"}


def test_another_user_s_folder_is_refused_with_the_way_to_trust_it(repo, monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(RepoError, match="it belongs to another user") as caught:
        Git.find(repo.root)
    assert "git config --global --add safe.directory" in (caught.value.hint or "")
    assert str(repo.root) in (caught.value.hint or "")


def test_a_git_that_is_too_old_is_named(repo, workplace, monkeypatch):
    """Before 2.31 git took the option for a name, and printed it."""
    bin_ = workplace / "bin"
    bin_.mkdir()
    old = bin_ / "git"
    script = (
        '#!/bin/sh\n[ "$1" = --version ] && echo git version 2.20.1 || printf "%s\\n" --x a b c\n'
    )
    old.write_text(script, encoding="utf-8")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(bin_), prepend=os.pathsep)
    with pytest.raises(RepoError, match=r"git version 2\.20\.1 is too old: bgit needs 2\.31"):
        Git.find(repo.root)


def test_a_missing_recipe_is_said(repo):
    (repo.root / "recipe.yml").unlink()
    with pytest.raises(RepoError, match=r"recipe\.yml is missing"):
        status(repo)


def test_names_in_the_store_are_fit_for_any_file_system(repo):
    names = [path.name for path in repo.store.root.rglob("*")]
    assert all(name == name.lower() and not set(name) & set('<>:"|?*\\') for name in names)


@pytest.mark.parametrize("name", [".bread", "recipe.yml", "input.yml"])
@pytest.mark.parametrize("to", ["/dev/zero", "/etc/hostname", "README.md"])
def test_a_file_of_ours_that_is_a_link_is_refused(repo, name, to):
    (repo.root / name).unlink()
    (repo.root / name).symlink_to(to)
    with pytest.raises(RepoError, match=f"{name} is, or leads through, a symbolic link"):
        ModelRepo.find(repo.root)._text(name)


def test_a_template_is_read_from_no_link_and_no_pipe(repo):
    read = repo.reader("worktree")
    (repo.root / "folder").symlink_to("/etc")
    os.mkfifo(repo.root / "pipe")
    for path, said in (
        ("folder/hostname", "symbolic link"),
        ("pipe", "is a pipe or a device, not a file"),
    ):
        with pytest.raises(RepoError, match=said):
            read(path)
    assert read("./README.md") == (repo.root / "README.md").read_bytes()
