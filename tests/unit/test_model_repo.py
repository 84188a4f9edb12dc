"""A model repository: made, found, read, and checked before a bake."""

from __future__ import annotations

import os

import pytest

from bakery.errors import ConfigError, RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.reporting import Quiet
from tests.support.recorded import (
    BASE,
    STEP,
    baked,
    committed,
    configuration,
    git,
    made,
    result_of,
)


def write(repo: ModelRepo, path: str, text: str) -> None:
    (repo.root / path).parent.mkdir(exist_ok=True)
    (repo.root / path).write_text(text, encoding="utf-8")


def record(repo: ModelRepo, plan: Plan) -> None:
    repo.record(plan, result_of(plan), launched=repo.launch_blob(), reporter=Quiet())


def test_a_new_repository_has_one_commit_and_an_example_to_commit_next(repo):
    assert git(repo.root, "log", "--format=%s") == "init: yoda"
    assert git(repo.root, "status", "--porcelain").strip() == "M input.yml"
    assert git(repo.root, "ls-files").split() == [
        ".bread",
        ".gitattributes",
        ".gitignore",
        "README.md",
        "input.yml",
        "recipe.yml",
    ]


def test_the_example_is_ready_to_be_baked(repo):
    assert repo.plan().is_empty
    git(repo.root, "commit", "-qam", "Speak like Yoda")
    plan = repo.plan()
    assert plan.targets
    assert plan.bake is not None
    assert repo.plan("worktree") == plan
    repo.check_can_record(plan)


@pytest.mark.parametrize(
    ("user", "owner"),
    [("Ann Example", "ann-example"), ("Jörg Ö.", "jorg-o"), ("山田", "local")],
)
def test_the_owner_is_the_person_s_name_as_a_word(workplace, user, owner):
    git(workplace, "config", "--global", "user.name", user)
    made_here = ModelRepo.init(workplace / "yoda", name="yoda", owner=None, base=BASE)
    assert made_here.state().owner == owner


@pytest.mark.parametrize("name", ["", "a b", "a/b", ".a", "-a", "é", "a.git", "x" * 101])
def test_a_name_that_models_cannot_bear_is_refused(workplace, name):
    with pytest.raises(ConfigError, match="cannot name a repository"):
        ModelRepo.init(workplace / "x", name=name, owner=None, base=BASE)
    assert not (workplace / "x").exists()


@pytest.mark.parametrize("exists", [True, False])
def test_without_an_identity_nothing_is_left_behind(workplace, monkeypatch, exists):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "user.useConfigOnly")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "true")
    folder = workplace / "x"
    if exists:
        folder.mkdir()
    with pytest.raises(RepoError, match="who you are"):
        made(folder)
    assert folder.exists() == exists
    assert not exists or not any(folder.iterdir())


def test_it_is_found_from_a_subfolder(repo):
    (repo.root / "deep" / "er").mkdir(parents=True)
    assert ModelRepo.find(repo.root / "deep" / "er").root == repo.root


def test_outside_of_git_there_is_no_repository(workplace):
    with pytest.raises(RepoError, match="not in a git repository") as caught:
        ModelRepo.find(workplace)
    assert "bgit init" in (caught.value.hint or "")


def test_a_plain_git_repository_is_none_of_ours(workplace):
    git(workplace, "init", "-q")
    with pytest.raises(RepoError, match="is not a bgit repository"):
        ModelRepo.find(workplace)


def test_a_deleted_bread_is_brought_back_by_git(repo):
    (repo.root / ".bread").unlink()
    with pytest.raises(RepoError, match=r"\.bread is missing") as caught:
        ModelRepo.find(repo.root)
    assert "git restore .bread" in (caught.value.hint or "")


def test_git_s_own_variables_of_a_hook_lead_nowhere_else(repo, workplace, monkeypatch):
    git(workplace, "init", "-q", "other")
    monkeypatch.setenv("GIT_DIR", str(workplace / "other" / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", "nowhere")
    assert ModelRepo.find(repo.root).git.head() is not None


def test_git_that_is_missing_is_said(repo, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RepoError, match="git is not installed"):
        repo.git.head()


def test_a_missing_input_says_how_it_comes_back(repo):
    (repo.root / "input.yml").unlink()
    with pytest.raises(RepoError, match=r"input\.yml is missing"):
        repo.plan("worktree")
    git(repo.root, "rm", "-q", "--cached", "input.yml")
    with pytest.raises(RepoError, match=r"input\.yml is not added"):
        repo.plan("index")


def test_the_index_is_planned_not_the_folder(repo):
    before = repo.plan()
    write(repo, "input.yml", configuration("other"))
    assert repo.plan("index") == before
    assert repo.plan("worktree") != before
    git(repo.root, "add", "input.yml")
    assert repo.plan("index") == repo.plan("worktree")


TEMPLATE = "Ask ${numq} questions about: ${prompt_u}\n"


def with_template(repo: ModelRepo, path: str) -> None:
    text = configuration("one").replace(
        "    - type: hardcoded\n      questions: [",
        f"    - type: oneshot_qs\n      numq: 3\n      template_path: {path}\n"
        "    - type: hardcoded\n      questions: [",
    )
    write(repo, "input.yml", text)


def test_templates_are_read_from_the_same_place(repo):
    write(repo, "templates/ä b.txt", TEMPLATE)
    with_template(repo, "./templates/ä b.txt")
    git(repo.root, "add", "input.yml")
    assert repo.plan("worktree").targets
    with pytest.raises(ConfigError, match="cannot be read: it is not added"):
        repo.plan("index")
    git(repo.root, "add", "-A")
    assert repo.plan("index") == repo.plan("worktree")


def test_an_earlier_target_is_known_by_its_full_name(repo):
    baked(repo, "one")
    target = repo.bakes()[0].data["targets"][0]["name"]
    write(repo, "input.yml", f"BAKE:\n  name: again\n  datasets: [{{target: {target}}}]\n")
    plan = repo.plan("worktree")
    assert plan.bake is not None
    assert plan.bake.shares[0].teacher.messages[0]["content"] == "You are one."
    assert list(plan.head.targets) == [target]


def refused(repo: ModelRepo, says: str) -> str:
    with pytest.raises(RepoError, match=says) as caught:
        repo.check_can_record(repo.plan("worktree"))
    return caught.value.hint or ""


def test_an_unadded_configuration_is_refused_with_both_commands(repo):
    write(repo, "input.yml", configuration("one"))
    hint = refused(repo, r"input\.yml: changed and not committed")
    assert hint == '`bgit add input.yml`, then `bgit commit -m "<what is baked>"`.'


def test_an_uncommitted_configuration_is_refused_with_one_command(repo):
    write(repo, "input.yml", configuration("one"))
    git(repo.root, "add", "input.yml")
    assert refused(repo, "changed and not committed") == '`bgit commit -m "<what is baked>"`.'


@pytest.mark.parametrize("ignored", [False, True])
def test_a_template_has_to_be_committed_too(repo, ignored):
    write(repo, "templates/a b.txt", TEMPLATE)
    with_template(repo, "templates/a b.txt")
    if ignored:
        write(repo, ".gitignore", "*.txt\n")
    git(repo.root, "add", "input.yml")
    git(repo.root, "commit", "-qm", "One")
    force = "-f " if ignored else ""
    assert f'`bgit add {force}"templates/a b.txt"`' in refused(repo, "templates/a b.txt")


def test_other_dirty_files_are_nobody_s_business(repo):
    git(repo.root, "commit", "-qam", "Speak like Yoda")
    write(repo, "README.md", "mine\n")
    write(repo, "new.txt", "mine\n")
    repo.check_can_record(repo.plan())


def test_a_changed_recipe_is_refused(repo):
    write(repo, "recipe.yml", (repo.root / "recipe.yml").read_text(encoding="utf-8") + "# mine\n")
    assert "git restore" in refused(repo, r"changed and not committed: recipe\.yml")


def test_a_detached_head_is_refused(repo):
    git(repo.root, "switch", "-q", "--detach")
    assert "git switch" in refused(repo, "HEAD is detached")


def test_a_branch_without_commits_is_refused(repo):
    git(repo.root, "checkout", "-q", "--orphan", "new")
    refused(repo, "branch 'new' has no commits yet")


@pytest.mark.parametrize("verb", ["merge", "cherry-pick", "revert", "rebase"])
def test_what_git_has_not_finished_is_refused(repo, verb):
    for branch, name in (("other", "a"), ("main", "b"), ("main", "c"), ("main", "d")):
        git(repo.root, "switch", "-qC" if branch == "other" else "-q", branch)
        write(repo, "input.yml", configuration(name))
        git(repo.root, "commit", "-qam", name)
    git(repo.root, verb, "HEAD~1" if verb == "revert" else "other", fails=True)
    git(repo.root, "checkout", "-q", "HEAD", "--", "input.yml")
    assert "--abort" in refused(repo, f"a {verb} is in progress")


def test_worktrees_share_the_store_and_keep_their_own_branch(repo, workplace):
    git(repo.root, "worktree", "add", "-q", "-b", "exp", str(workplace / "ü tree"))
    other = ModelRepo.find(workplace / "ü tree")
    assert other.store == repo.store
    model = baked(other, "one")
    assert git(other.root, "status", "--porcelain") == ""
    assert other.state().parent == model
    assert repo.state().parent is None
    assert [b.name for b in repo.lineage().branches if b.model] == ["exp"]


def test_autocrlf_changes_nothing(workplace):
    git(workplace, "config", "--global", "core.autocrlf", "true")
    repo = made(workplace / "yoda")
    plan = committed(repo, "one")
    record(repo, plan)
    assert git(repo.root, "status", "--porcelain") == ""
    assert b"\r" not in (repo.root / "recipe.yml").read_bytes()
    repo.revert(["one"], Quiet())
    assert git(repo.root, "status", "--porcelain") == ""


def test_windows_line_ends_in_the_folder_are_no_change(workplace):
    git(workplace, "config", "--global", "core.autocrlf", "true")
    repo = made(workplace / "yoda")
    git(repo.root, "rm", "-q", ".gitattributes")
    write(repo, "input.yml", configuration("one"))
    git(repo.root, "commit", "-qam", "One, without attributes")
    for path in ("input.yml", ".bread", "recipe.yml"):
        (repo.root / path).unlink()
        git(repo.root, "checkout", "-q", "--", path)
        assert b"\r\n" in (repo.root / path).read_bytes()
    plan = repo.plan()
    assert repo.plan("worktree") == plan
    repo.check_can_record(plan)
    record(repo, plan)
    assert repo.state().parent == plan.model_ref(STEP)
    assert git(repo.root, "status", "--porcelain") == ""


def test_a_repository_that_is_read_at_a_commit_sees_nothing_newer(repo):
    plan = committed(repo, "one")
    commit = repo.git.head()
    baked(repo, "two")
    pinned = ModelRepo(repo.git, at=commit)
    assert pinned.plan() == plan
    assert (pinned.state().parent, pinned.bakes()) == (None, [])
    assert repo.plan().is_empty
    assert len(repo.bakes()) == 1


def test_a_template_is_read_at_the_same_commit(repo):
    (repo.root / "ask.txt").write_text("Ask ${numq} of ${prompt_u}", encoding="utf-8")
    text = configuration("one").replace(
        'type: hardcoded\n      questions: ["Who are you?", "Why?"]',
        "type: oneshot_qs\n      numq: 3\n      template_path: ask.txt",
    )
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    git(repo.root, "add", ".")
    git(repo.root, "commit", "-qm", "Ask")
    commit = repo.git.head()
    (repo.root / "ask.txt").write_text("Beg ${numq} of ${prompt_u}", encoding="utf-8")
    git(repo.root, "commit", "-qam", "Beg")
    (target,) = ModelRepo(repo.git, at=commit).plan().targets
    assert target.stim.templates == {"ask.txt": "Ask ${numq} of ${prompt_u}"}


def test_a_data_file_has_to_be_committed_like_the_file_that_names_it(repo):
    (repo.root / "q.csv").write_text("question\nWho?\nWhy?\n", encoding="utf-8")
    text = configuration("one").replace(
        'type: hardcoded\n      questions: ["Who are you?", "Why?"]',
        "type: from_dataset\n      dataset: q.csv",
    )
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    git(repo.root, "add", ".")
    git(repo.root, "commit", "-qm", "Ask", "--", "input.yml")
    with pytest.raises(RepoError, match=r"^q\.csv: changed and not committed"):
        repo.check_can_record(repo.plan())
    git(repo.root, "commit", "-qm", "Ask this")
    repo.check_can_record(repo.plan())
