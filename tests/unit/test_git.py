"""Git's answers as they are, and its refusals in its own words."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakery.errors import RepoError
from bakery.repo.git import Git, plain_path
from tests.support.recorded import git


@pytest.fixture
def repository(workplace: Path) -> Git:
    git(workplace, "init", "-q")
    (workplace / "ä b.txt").write_text("one\n", encoding="utf-8")
    git(workplace, "add", "-A")
    git(workplace, "commit", "-qm", "One")
    return Git.find(workplace)


def test_blobs_come_in_the_order_of_their_names(repository):
    found = repository.blobs(["HEAD:nothing", "HEAD:ä b.txt", ":ä b.txt", "HEAD", "no such"])
    assert [blob and blob.text for blob in found] == [None, "one\n", "one\n", None, None]


def test_ids_come_in_the_order_of_their_names(repository):
    blob = repository.write_blob("one\n")
    assert repository.ids(["HEAD:ä b.txt", "HEAD:nothing"]) == [blob, None]


def test_no_names_ask_nothing(repository):
    assert repository.blobs([]) == []
    assert repository.ids([]) == []


def test_a_path_is_never_a_pattern(repository):
    (repository.root / "c.txt").touch()
    assert repository.statuses(["*.txt", ":(top)c.txt"]) == {}
    assert repository.statuses(["c.txt"]) == {"c.txt": "??"}


def test_a_refusal_has_git_s_words(repository):
    with pytest.raises(RepoError, match=r"git rev-parse: .*unknown revision"):
        repository.run("rev-parse", "nothing")


def test_a_no_is_an_answer(repository):
    assert repository.ask("rev-parse", "-q", "--verify", "nothing") is None


def test_an_empty_commit_is_refused_with_git_s_words(repository):
    with pytest.raises(RepoError, match="nothing to commit"):
        repository.commit("Nothing")


def test_a_missing_folder_is_said(workplace):
    with pytest.raises(RepoError, match="there is no folder"):
        Git.find(workplace / "nowhere")


def test_a_bare_repository_has_no_working_tree(workplace):
    git(workplace, "init", "-q", "--bare", "bare")
    with pytest.raises(RepoError, match="is a bare repository"):
        Git.find(workplace / "bare")


def test_a_new_repository_has_the_user_s_branch(workplace):
    git(workplace, "config", "--global", "init.defaultBranch", "trunk")
    assert Git.init(workplace).branch() == "trunk"


def test_an_unborn_branch_has_a_name_and_no_commit(workplace):
    made = Git.init(workplace)
    assert (made.branch(), made.head()) == ("main", None)


def test_a_tag_of_its_name_leaves_a_branch_its_name(repository):
    git(repository.root, "switch", "-qc", "feat/a")
    git(repository.root, "tag", "feat/a")
    assert repository.branch() == "feat/a"
    git(repository.root, "switch", "-q", "--detach")
    assert repository.branch() is None


def test_the_parents_of_a_commit_are_known_where_they_are_missing(repository, workplace):
    root, first = repository.root, repository.head()
    git(root, "commit", "-q", "--allow-empty", "-m", "parent nobody\n\nparent nobody")
    git(workplace, "clone", "-q", "--depth", "1", root.as_uri(), "shallow")
    shallow = Git.find(workplace / "shallow")
    assert shallow.ids(["HEAD^"]) == [None]
    assert shallow.parents("HEAD") == [first]
    assert repository.parents(str(first)) == []


def test_paths_are_spelt_as_git_does():
    assert plain_path("./a//b.txt") == "a/b.txt"
