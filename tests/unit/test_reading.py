"""A file that input.yml names is the same in the folder, in the index and in a commit."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bakery.errors import BakeryError, ConfigError, RepoError
from bakery.repo import reading
from bakery.repo.git import Git
from bakery.repo.look.status import status
from bakery.repo.model_repo import ModelRepo
from tests.support.recorded import committed, configuration, git

POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12\n"

PLACES = ("worktree", "index", "commit")


def write(repo: ModelRepo, path: str, text: str) -> None:
    (repo.root / path).parent.mkdir(parents=True, exist_ok=True)
    (repo.root / path).write_bytes(text.encode("utf-8"))


def keep(repo: ModelRepo) -> None:
    git(repo.root, "add", "-A")
    git(repo.root, "commit", "-qm", "Keep")


def read(repo: ModelRepo, place: str, path: str) -> bytes:
    """Read a file in one of the places that input.yml is read from."""
    if place == "commit":
        return ModelRepo(repo.git, at=repo.git.head()).reader("index")(path)
    return repo.reader("index" if place == "index" else "worktree")(path)


def rot13(repo: ModelRepo, *paths: str) -> None:
    """Have a filter turn files around on their way into git and back."""
    turn = f"'{sys.executable}' -c \"import codecs, sys; " + (
        "sys.stdout.write(codecs.encode(sys.stdin.read(), 'rot13'))\""
    )
    for way in ("clean", "smudge"):
        git(repo.root, "config", f"filter.turn.{way}", turn)
    write(repo, ".gitattributes", "".join(f"{path} filter=turn\n" for path in paths))


@pytest.mark.parametrize("place", PLACES)
def test_a_file_is_what_it_holds(repo, place):
    write(repo, "data/ä b.txt", "one\ntwo\n")
    keep(repo)
    assert read(repo, place, "./data//ä b.txt") == b"one\ntwo\n"


@pytest.mark.parametrize("path", ["nothing.txt", "data", "data/nothing.txt", "q.txt/more"])
def test_what_a_commit_has_no_file_for_is_not_added(repo, path):
    write(repo, "data/q.txt", "one\n")
    write(repo, "q.txt", "one\n")
    keep(repo)
    with pytest.raises(RepoError, match="it is not added"):
        read(repo, "commit", path)


@pytest.mark.parametrize("place", ["index", "worktree"])
@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("nothing.txt", "there is no file nothing.txt; write it, then `bgit add nothing.txt`"),
        ("a b.txt", "there is no file a b.txt; write it, then `bgit add 'a b.txt'`"),
        ("data/nothing", "there is no file data/nothing; write it, then `bgit add data/nothing`"),
        ("q.txt/more", "there is no file q.txt/more; write it, then `bgit add q.txt/more`"),
        ("data", "data is a folder, not a file"),
        ("pipe", "pipe is a pipe or a device, not a file"),
        ("link", "link is, or leads through, a symbolic link: git keeps only where it points to; "
         "put the file itself in its place, then `bgit add link`"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_prompt_s_file_is_said_with_what_helps(repo, place, path, says):
    write(repo, "data/q.txt", "one\n")
    write(repo, "q.txt", "one\n")
    keep(repo)
    os.mkfifo(repo.root / "pipe")
    (repo.root / "link").symlink_to("nowhere")
    text = configuration("one").replace("content:", f"content_file: {path} #")
    write(repo, "input.yml", text)
    git(repo.root, "add", "input.yml")
    with pytest.raises(ConfigError) as caught:
        repo.plan(place)
    hint = caught.value.hint or ""
    said = f"{caught.value.message}; {hint[:1].lower()}{hint[1:].rstrip('.')}"
    assert f": content_file {path!r} cannot be read: {says}" in said


def test_a_file_that_is_there_and_not_added_is_added_by_what_is_advised(repo):
    write(repo, "a b.txt", "one\n")
    write(repo, "input.yml", configuration("one").replace("content:", "content_file: a b.txt #"))
    git(repo.root, "add", "input.yml")
    with pytest.raises(ConfigError, match="it is not added") as refused:
        repo.plan()
    assert refused.value.hint == "Run `bgit add 'a b.txt'`."


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("path", ["q.txt", "linked/q.txt"])
def test_a_link_is_refused_wherever_it_is_read(repo, place, path):
    write(repo, "data/q.txt", "one\n")
    (repo.root / "q.txt").symlink_to("data/q.txt")
    (repo.root / "linked").symlink_to("data")
    keep(repo)
    with pytest.raises(RepoError, match=f"{path} is, or leads through, a symbolic link"):
        read(repo, place, path)


@pytest.mark.parametrize("place", PLACES)
def test_a_file_of_another_repository_is_refused_wherever_it_is_read(repo, place):
    git(repo.root, "init", "-q", "other")
    git(repo.root / "other", "commit", "-q", "--allow-empty", "-m", "One")
    write(repo, "other/data/q.txt", "one\n")
    keep(repo)
    with pytest.raises(RepoError, match=r"other/data/q\.txt is of another git repository, other:"):
        read(repo, place, "other/data/q.txt")


def test_questions_are_drawn_from_no_link(repo):
    write(repo, "data/q.txt", "Who?\n")
    (repo.root / "q.txt").symlink_to("data/q.txt")
    keep(repo)
    committed(repo, "one")
    text = configuration("one").replace(
        "type: hardcoded", "type: from_dataset\n      dataset: q.txt"
    )
    write(repo, "input.yml", "\n".join(x for x in text.splitlines() if "questions:" not in x))
    git(repo.root, "add", "input.yml")
    for place in ("index", "worktree"):
        with pytest.raises(ConfigError, match=r"q\.txt is, or leads through, a symbolic link"):
            repo.plan(place)


@pytest.mark.parametrize("place", PLACES)
def test_a_filtered_file_is_what_the_folder_holds(repo, place):
    rot13(repo, "*.txt")
    write(repo, "q.txt", "Hello\n")
    keep(repo)
    assert git(repo.root, "cat-file", "-p", "HEAD:q.txt") == "Uryyb"
    assert read(repo, place, "q.txt") == b"Hello\n"


def test_a_commit_is_read_by_its_own_attributes(repo):
    rot13(repo, "*.txt")
    write(repo, "q.txt", "Hello\n")
    keep(repo)
    then = ModelRepo(repo.git, at=repo.git.head()).reader("index")
    (repo.root / ".gitattributes").unlink()
    keep(repo)
    assert then("q.txt") == b"Hello\n"
    common = repo.git.common_dir  # where a job reads whose working tree is gone
    job = ModelRepo(Git(common, common, common), at=f"{repo.git.head()}~1")
    assert job.reader("index")("q.txt") == b"Hello\n"


def test_line_ends_stay_what_git_keeps(repo):
    rot13(repo, "*.txt")
    for name, value in (("core.autocrlf", "true"), ("core.eol", "crlf")):
        git(repo.root, "config", name, value)
    write(repo, "q.txt", "Hello\n")
    keep(repo)
    assert read(repo, "index", "q.txt") == read(repo, "commit", "q.txt") == b"Hello\n"


@pytest.mark.parametrize("name", ["core.autocrlf", "text", "text=auto eol=crlf"])
def test_a_file_of_the_folder_is_read_with_the_line_ends_that_git_keeps(repo, name):
    write(repo, "q.txt", "One\nTwo\n")
    keep(repo)
    if name == "core.autocrlf":
        git(repo.root, "config", name, "true")
    else:
        write(repo, ".gitattributes", f"q.txt {name}\n")
    write(repo, "q.txt", "One\r\nTwo\r\n")
    assert read(repo, "worktree", "q.txt") == b"One\nTwo\n"
    write(repo, "new.txt", "One\r\nTwo\r\n")
    kept = b"One\nTwo\n" if name == "core.autocrlf" else b"One\r\nTwo\r\n"
    assert read(repo, "worktree", "new.txt") == kept
    git(repo.root, "add", "-A")
    assert read(repo, "index", "new.txt") == kept


def test_line_ends_that_git_keeps_are_kept_in_the_folder_too(repo):
    write(repo, "q.txt", "One\r\nTwo\r\n")
    keep(repo)
    assert {read(repo, place, "q.txt") for place in PLACES} == {b"One\r\nTwo\r\n"}
    git(repo.root, "config", "core.autocrlf", "true")  # git leaves what it has with CRLF
    assert {read(repo, place, "q.txt") for place in PLACES} == {b"One\r\nTwo\r\n"}


def test_a_file_in_another_encoding_is_read_as_git_keeps_it(repo):
    write(repo, ".gitattributes", "q.txt working-tree-encoding=UTF-16LE\n")
    (repo.root / "q.txt").write_bytes("Grüße\n".encode("utf-16-le"))
    assert read(repo, "worktree", "q.txt") == "Grüße\n".encode()
    keep(repo)
    assert {read(repo, place, "q.txt") for place in PLACES} == {"Grüße\n".encode()}


def test_looking_at_a_file_that_git_would_change_leaves_nothing_behind(repo):
    git(repo.root, "config", "core.autocrlf", "true")
    write(repo, "q.txt", "One\r\nTwo\r\n")
    before = git(repo.root, "count-objects"), git(repo.root, "status", "--short")
    read(repo, "worktree", "q.txt")
    assert (git(repo.root, "count-objects"), git(repo.root, "status", "--short")) == before


def test_with_other_line_ends_in_the_folder_every_plan_is_the_same(repo):
    text = (
        "PROMPT: {teacher: {messages: [{role: system, content: You are a cook.}]}}\n"
        "TARGET: {name: main, generators: [{type: from_dataset, dataset: q.csv},\n"
        "  {type: oneshot_qs, numq: 4, template_path: t.txt}]}\nBAKE: {name: cook}\n"
    )
    write(repo, "input.yml", text)
    write(repo, "q.csv", "question\nWho are you?\n")
    write(repo, "t.txt", "Ask ${numq}\nabout ${prompt_u}\n")
    keep(repo)
    git(repo.root, "config", "core.autocrlf", "true")
    for name in ("q.csv", "t.txt"):
        write(repo, name, (repo.root / name).read_text().replace("\n", "\r\n"))
    assert repo.plan("worktree") == repo.plan("index")


@pytest.mark.parametrize("place", PLACES)
def test_a_filter_that_only_cleans_leaves_what_git_keeps(repo, place):
    git(repo.root, "config", "filter.trim.clean", "sed 's/ *$//'")
    write(repo, ".gitattributes", "*.txt filter=trim\n")
    write(repo, "q.txt", "Hello   \n")
    keep(repo)
    assert read(repo, place, "q.txt") == b"Hello\n"


def test_a_configuration_that_a_filter_changes_is_refused_in_the_folder_too(repo):
    rot13(repo, "input.yml")
    write(repo, "input.yml", configuration("one"))
    with pytest.raises(ConfigError, match=r"goes through a filter of \.gitattributes"):
        repo.plan("worktree")


@pytest.mark.parametrize("place", ["index", "commit", "worktree"])
def test_a_filter_that_fails_is_said(repo, place):
    rot13(repo, "*.txt")
    write(repo, "q.txt", "Hello\n")
    keep(repo)
    git(repo.root, "config", "filter.turn.smudge", "false")
    with pytest.raises(RepoError, match=r"q\.txt: smudge filter turn failed"):
        read(repo, place, "q.txt")


@pytest.mark.parametrize("place", PLACES)
def test_a_pointer_of_git_lfs_is_no_content(repo, place):
    write(repo, "q.txt", POINTER)
    keep(repo)
    with pytest.raises(RepoError, match=r"q\.txt is a Git LFS pointer.*`git lfs pull`"):
        read(repo, place, "q.txt")


@pytest.mark.parametrize("place", PLACES)
def test_a_text_about_git_lfs_is_content(repo, place):
    text = POINTER + "This is how a pointer begins.\n" * 100
    write(repo, "q.txt", text)
    keep(repo)
    assert read(repo, place, "q.txt") == text.encode()


def test_an_added_configuration_that_is_a_link_is_refused(repo):
    write(repo, "d/input.yml", configuration("one"))
    (repo.root / "input.yml").unlink()
    (repo.root / "input.yml").symlink_to("d/input.yml")
    keep(repo)
    with pytest.raises(ConfigError, match=r"input\.yml is, or leads through, a symbolic link"):
        repo.plan()
    assert "symbolic link" in str(status(repo))
    with pytest.raises(RepoError, match="symbolic link"):
        ModelRepo(repo.git, at=repo.git.head()).plan()


@pytest.mark.parametrize("place", ["index", "worktree"])
def test_a_configuration_that_is_a_pointer_is_refused(repo, place):
    write(repo, "input.yml", POINTER)
    keep(repo)
    with pytest.raises(BakeryError, match=r"input\.yml is a Git LFS pointer"):
        repo.plan(place)


def test_a_configuration_that_a_filter_changes_is_refused_with_the_way_out(repo):
    rot13(repo, "input.yml")
    write(repo, "input.yml", configuration("one"))
    keep(repo)
    with pytest.raises(ConfigError, match=r"goes through a filter of \.gitattributes") as caught:
        repo.plan()
    write(repo, ".gitattributes", "")
    command = (caught.value.hint or "").split("`")[1]
    subprocess.run(command.split(), cwd=repo.root, check=True)
    git(repo.root, "commit", "-qam", "Unfiltered")
    assert repo.plan().bake_name == repo.plan("worktree").bake_name


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="makes a pipe")
@pytest.mark.parametrize("kind", ["pipe", "link to a device"])
@pytest.mark.parametrize("name", ["input.yml", ".bread", "prompt.md"])
def test_what_never_ends_is_not_read(repo, name: str, kind: str) -> None:
    (repo.root / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(repo.root / name)
    else:
        (repo.root / name).symlink_to("/dev/zero")
    for read, of in ((reading.in_folder, repo.git), (reading.folder_text, repo.root)):
        with pytest.raises(RepoError, match=r"a pipe or a device|a symbolic link"):
            read(of, name)


@pytest.mark.parametrize("name", ["input.yml", ".bread"])
def test_a_file_of_megabytes_is_refused_by_its_size(repo, name: str) -> None:
    (repo.root / name).write_bytes(b"# " * (reading.MOST // 2 + 1))
    with pytest.raises(RepoError, match="more than 1,048,576 are not read"):
        reading.folder_text(repo.root, name)
    repo.git.run("add", name)
    with pytest.raises(RepoError, match="more than 1,048,576 are not read"):
        reading.own_text(repo.git, name, at=None)


def test_a_named_file_is_refused_before_it_is_read(repo, monkeypatch) -> None:
    (repo.root / "data.jsonl").write_bytes(bytes(200))
    repo.git.run("add", "data.jsonl")
    monkeypatch.setattr(reading, "MOST_DATA", 100)
    with pytest.raises(RepoError, match=r"data\.jsonl has 200 bytes"):
        reading.in_folder(repo.git, "data.jsonl")
    with pytest.raises(RepoError, match=r"data\.jsonl has 200 bytes"):
        reading.in_git(repo.git, "data.jsonl", at=None)
