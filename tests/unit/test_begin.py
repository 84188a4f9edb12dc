"""`bgit init`: in new folders, in folders with something in them, in git repositories."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakery.errors import RepoError
from bakery.repo import begin
from bakery.repo.model_repo import ModelRepo
from tests.support import recorded
from tests.support.recorded import BASE, git, made

OURS = {".bread", ".gitattributes", ".gitignore", "README.md", "input.yml", "recipe.yml"}


def tracked(root: Path) -> set[str]:
    return set(git(root, "ls-files").splitlines())


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def drafted(folder: Path, prompt: str) -> ModelRepo:
    """Make a model repository whose draft has a prompt's file."""
    draft = {**begin.EXAMPLE, prompt: b"mine"}
    return ModelRepo.init(folder, name="yoda", owner="ann", base=BASE, draft=draft)


def test_what_lies_in_a_folder_stays_there_and_is_not_committed(workplace):
    folder = workplace / "x"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine", encoding="utf-8")
    (folder / "README.md").write_text("# Mine\n", encoding="utf-8")
    repo = made(folder)
    assert tracked(repo.root) == OURS - {"README.md"}
    assert (folder / "notes.txt").read_text(encoding="utf-8") == "mine"
    assert (folder / "README.md").read_text(encoding="utf-8") == "# Mine\n"


def test_a_git_repository_gets_one_commit_with_nothing_else_in_it(workplace):
    root = workplace / "mine"
    git(workplace, "init", "-q", str(root))
    (root / ".gitignore").write_text("*.log\n*.yml\n", encoding="utf-8")
    git(root, "add", ".gitignore")
    git(root, "commit", "-qm", "Mine")
    (root / "draft.txt").write_text("draft", encoding="utf-8")
    repo = made(root)
    assert tracked(root) == OURS
    assert git(root, "log", "--format=%s").splitlines() == ["init: yoda", "Mine"]
    ignored = (root / ".gitignore").read_text(encoding="utf-8")
    assert ignored.startswith("*.log\n*.yml\n\n")
    assert "*.safetensors" in ignored
    assert recorded.baked(repo, "pirate")


def test_an_empty_clone_becomes_a_model_repository(workplace):
    git(workplace, "init", "-q", "--bare", "hub.git")
    git(workplace, "clone", "-q", "hub.git", "mine")
    repo = made(workplace / "mine")
    assert git(repo.root, "log", "--format=%s") == "init: yoda"
    git(repo.root, "push", "-q", "origin", "HEAD")


@pytest.mark.parametrize("commits", [0, 1])
def test_what_is_staged_is_not_swept_into_the_commit(workplace, commits):
    root = workplace / "mine"
    git(workplace, "init", "-q", str(root))
    for _ in range(commits):
        git(root, "commit", "-q", "--allow-empty", "-m", "Mine")
    (root / "half.txt").write_text("half", encoding="utf-8")
    git(root, "add", "half.txt")
    with pytest.raises(RepoError, match=r"added, and not committed: half\.txt"):
        made(root)
    assert names(root) == {".git", "half.txt"}
    assert git(root, "diff", "--cached", "--name-only") == "half.txt"


@pytest.mark.parametrize("name", ["input.yml", "recipe.yml"])
def test_a_file_that_would_be_written_over_is_named(workplace, name):
    folder = workplace / "x"
    folder.mkdir()
    (folder / name).write_text("mine", encoding="utf-8")
    with pytest.raises(RepoError, match=f"holds {name}, which bgit would write"):
        made(folder)
    assert names(folder) == {name}
    assert (folder / name).read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize(
    "name", [".bread", "recipe.yml", "input.yml", ".gitignore", ".gitattributes", "prompt.md"]
)
def test_nothing_is_written_through_a_link(workplace, name, there):
    folder, outside = workplace / "x", workplace / "outside"
    folder.mkdir()
    if there:
        outside.write_text("mine", encoding="utf-8")
    (folder / name).symlink_to(outside)
    with pytest.raises(RepoError, match="symbolic link"):
        drafted(folder, "prompt.md")
    assert names(folder) == {name}
    assert (folder / name).is_symlink()
    assert outside.exists() == there
    assert not there or outside.read_text(encoding="utf-8") == "mine"


def test_nothing_is_written_through_a_link_on_the_way(workplace):
    (workplace / "x").mkdir()
    (workplace / "outside").mkdir()
    (workplace / "x" / "data").symlink_to(workplace / "outside")
    with pytest.raises(RepoError, match="symbolic link"):
        drafted(workplace / "x", "data/prompt.md")
    assert names(workplace / "outside") == set()


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("there", [True, False])
def test_a_readme_that_is_a_link_stays_one(workplace, there, refused, monkeypatch):
    folder, outside = workplace / "x", workplace / "outside"
    folder.mkdir()
    if there:
        outside.write_text("mine", encoding="utf-8")
    (folder / "README.md").symlink_to(outside)
    if refused:
        monkeypatch.setenv("GIT_AUTHOR_NAME", "")
        monkeypatch.setenv("GIT_COMMITTER_NAME", "")
        with pytest.raises(RepoError):
            made(folder)
        assert names(folder) == {"README.md"}
    else:
        assert tracked(made(folder).root) == OURS - {"README.md"}
    assert (folder / "README.md").is_symlink()
    assert outside.exists() == there


@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("kind", ["text", "lost", "folder", "link"])
def test_a_git_that_is_none_is_said_in_one_sentence(workplace, kind, inside):
    if inside:
        git(workplace, "init", "-q")
    folder = workplace / "x"
    folder.mkdir()
    if kind == "folder":
        (folder / ".git").mkdir()
    elif kind == "link":
        (folder / ".git").symlink_to(workplace / "outside")
    else:
        text = "mine\n" if kind == "text" else f"gitdir: {workplace}/gone\n"
        (folder / ".git").write_text(text, encoding="utf-8")
    with pytest.raises(RepoError, match=r"(?m)x/\.git is there, and it is no git repository$"):
        made(folder)
    assert names(folder) == {".git"}
    assert names(workplace) <= {"x", ".git"}


def test_what_is_no_folder_is_refused(workplace):
    (workplace / "x").symlink_to(workplace / "gone")
    with pytest.raises(RepoError, match="x is not a folder"):
        made(workplace / "x")
    assert names(workplace) == {"x"}


def test_a_folder_where_git_s_own_file_should_be_is_refused(workplace):
    (workplace / "x" / ".gitignore").mkdir(parents=True)
    with pytest.raises(RepoError, match=r"\.gitignore is not a file"):
        made(workplace / "x")
    assert names(workplace / "x") == {".gitignore"}


@pytest.mark.parametrize("killed", ["before add", "before the draft", "before the commit"])
@pytest.mark.parametrize("had", ["nothing", "a commit"])
def test_what_was_killed_on_the_way_goes_on(workplace, killed, had):
    root = workplace / "x"
    git(workplace, "init", "-q", str(root))
    (root / ".gitignore").write_text("*.log\n", encoding="utf-8")
    if had == "a commit":
        git(root, "add", ".gitignore")
        git(root, "commit", "-q", "-m", "Mine")
    first = git(root, "rev-parse", "HEAD") if had == "a commit" else ""
    whole = made(root)
    texts = {name: whole.git.run("cat-file", "blob", f"HEAD:{name}") for name in (".gitignore",)}
    draft, subject = (root / "input.yml").read_bytes(), git(root, "log", "-1", "--format=%s")
    skeleton = git(root, "show", "HEAD:input.yml")
    if first:
        git(root, "reset", "-q", "--soft", first)
    else:
        git(root, "update-ref", "-d", "HEAD")
    if killed == "before add":
        git(root, "rm", "-rqf", "--cached", ".")
        if first:
            git(root, "reset", "-q", "--", ".gitignore")
    if killed != "before the commit":
        (root / "input.yml").write_text(skeleton + "\n", encoding="utf-8")
    again = made(root)
    assert (root / "input.yml").read_bytes() == draft
    assert git(root, "log", "-1", "--format=%s") == subject
    assert again.git.run("cat-file", "blob", "HEAD:.gitignore") == texts[".gitignore"]
    assert git(root, "status", "--porcelain") == " M input.yml"


def test_an_input_that_somebody_wrote_meanwhile_stays(workplace):
    root = made(workplace / "x").root
    git(root, "update-ref", "-d", "HEAD")
    (root / "input.yml").write_text("mine", encoding="utf-8")
    with pytest.raises(RepoError, match=r"holds input\.yml, which bgit would write"):
        made(root)
    assert (root / "input.yml").read_text(encoding="utf-8") == "mine"


def test_a_model_repository_is_not_made_twice(workplace):
    root = made(workplace / "x").root
    before = git(root, "rev-parse", "HEAD")
    with pytest.raises(RepoError, match="is a model repository already"):
        made(root)
    assert git(root, "rev-parse", "HEAD") == before


def test_a_hook_that_refuses_leaves_a_git_repository_as_it_was(workplace):
    root = workplace / "mine"
    git(workplace, "init", "-q", str(root))
    (root / ".gitignore").write_text("*.log\n", encoding="utf-8")
    git(root, "add", ".gitignore")
    git(root, "commit", "-qm", "Mine")
    hook = root / ".git/hooks/pre-commit"
    hook.write_text("#!/bin/sh\necho not so >&2\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)
    with pytest.raises(RepoError, match="not so"):
        made(root)
    assert names(root) == {".git", ".gitignore"}
    assert git(root, "status", "--porcelain") == ""


def test_a_folder_inside_a_git_repository_is_told_of(workplace):
    git(workplace, "init", "-q", "outer")
    outer = workplace / "outer"
    assert begin.around(outer / "a" / "model") == outer
    assert begin.around(outer) is None
    assert begin.around(workplace / "elsewhere") is None
    repo = made(outer / "a" / "model")
    assert ModelRepo.find(outer / "a" / "model").root == repo.root
    assert git(outer, "log", fails=True) == ""


def test_folders_that_were_made_on_the_way_are_gone_where_it_fails(workplace):
    (workplace / "kept").mkdir()
    hooks = workplace / "hooks"
    hooks.mkdir()
    (hooks / "pre-commit").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (hooks / "pre-commit").chmod(0o755)
    git(workplace, "config", "--global", "core.hooksPath", str(hooks))
    with pytest.raises(RepoError, match="git commit was refused"):
        made(workplace / "kept/a/b")
    assert names(workplace / "kept") == set()


def test_a_base_that_was_changed_by_hand_is_refused_with_advice(workplace):
    repo = made(workplace / "x")
    for bakes in range(2):
        if bakes:
            recorded.baked(repo, "pirate")
        repo.check_base()
        bread = (repo.root / ".bread").read_text(encoding="utf-8")
        changed = bread.replace(BASE.digest, "cd" * 32).replace("tiny-1", "org/other")
        (repo.root / ".bread").write_text(changed, encoding="utf-8")
        for _ in range(2):  # before it is committed, and after
            with pytest.raises(RepoError, match=r"made on tiny-1 \(digest ababababab") as caught:
                repo.check_base()
            assert "`bgit rebase --base-model REF`" in caught.value.hint
            git(repo.root, "commit", "-qam", "Another base", "--allow-empty")
        (repo.root / ".bread").write_text(bread, encoding="utf-8")
        git(repo.root, "commit", "-qam", "The base it was")


def test_a_base_that_was_moved_is_the_same_base(workplace):
    repo = made(workplace / "x")
    path = repo.root / ".bread"
    path.write_text(path.read_text(encoding="utf-8").replace("tiny-1", "/new/place"), "utf-8")
    repo.check_base()
    assert repo.state().base.name == "/new/place"
