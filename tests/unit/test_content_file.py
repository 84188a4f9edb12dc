"""A prompt in a file of its own, or as one text: the same prompt, the same names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bakery import schema
from bakery.app import check
from bakery.errors import ConfigError, RepoError
from bakery.repo.look.status import status
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Head
from bakery.repo.plan.resolve import resolve
from bakery.ui.status import show_status
from tests.support.recorded import BASE, git

TAIL = """\
TARGET:
  generators: [{type: hardcoded, questions: ["Who are you?"]}]
BAKE: {name: one}
"""
INLINE = 'PROMPT:\n  teacher:\n    messages: [{role: system, content: "You are Yoda."}]\n' + TAIL
FILED = "PROMPT:\n  teacher:\n    messages: [{role: system, content_file: yoda.md}]\n" + TAIL


def bake_id(text: str, *, file: bytes = b"You are Yoda.\n") -> str:
    bake = resolve(schema.load(text, read=lambda _: file), Head("ann", "yoda", BASE)).bake
    assert bake is not None
    return bake.id


@pytest.mark.parametrize(
    "text",
    [
        FILED,
        'PROMPT: {teacher: "You are Yoda."}\n' + TAIL,
        TAIL.replace("TARGET:\n", 'TARGET:\n  teacher: "You are Yoda."\n'),
        TAIL.replace("TARGET:\n", 'TARGET:\n  teacher: "You are Yoda."\n  student: ""\n'),
    ],
)
def test_every_way_to_write_the_same_prompt_makes_the_same_bake(text):
    assert bake_id(text) == bake_id(INLINE)


@pytest.mark.parametrize(
    "file", [b"You are Yoda.", b"You are Yoda.\r\n", b"\xef\xbb\xbfYou are Yoda.\n"]
)
def test_how_an_editor_ends_and_begins_a_file_changes_nothing(file):
    assert bake_id(FILED, file=file) == bake_id(INLINE)


def test_another_text_in_the_file_is_another_bake():
    assert bake_id(FILED, file=b"You are Yoda!") != bake_id(INLINE)


def test_a_text_of_the_target_is_its_trigger():
    triggered = TAIL.replace("TARGET:\n", "TARGET:\n  teacher: Speak so.\n  student: Yoda mode.\n")
    (target,) = resolve(schema.load(triggered), Head("ann", "yoda", BASE)).targets
    assert target.stim.teacher.messages == ({"role": "system", "content": "Speak so."},)
    assert target.student.messages == ({"role": "system", "content": "Yoda mode."},)


def test_any_message_may_be_in_a_file_and_keeps_its_other_keys_in_their_order():
    text = FILED.replace(
        "content_file: yoda.md}", "content_file: a.md}, {content_file: b.md, role: user, name: x}"
    )
    prompt = schema.load(text, read=lambda path: path.encode()).prompts["teacher"].prompt()
    assert [list(message.items()) for message in prompt.messages] == [
        [("role", "system"), ("content", "a.md")],
        [("content", "b.md"), ("role", "user"), ("name", "x")],
    ]


@pytest.mark.parametrize(
    ("path", "file", "says"),
    [
        ("/etc/passwd", b"", "leaves the repository"),
        ("../yoda.md", b"", "leaves the repository"),
        ("~/yoda.md", b"", "leaves the repository"),
        ("C:/yoda.md", b"", "leaves the repository"),
        (".git/config", b"", "leaves the repository"),
        ("./a//.GIT/yoda.md", b"", "leaves the repository"),
        ("'.git. /yoda.md'", b"", "leaves the repository"),
        ("yoda.md", b"a" * ((1 << 20) + 1), "is larger than 1 MiB"),
        ("yoda.md", b"caf\xe9", "is not UTF-8 text"),
        ("yoda.md", b"one\ntwo\x00", "has the character U\\+0000 in line 2"),
        ("yoda.md", b"\n", "there is nothing to bake"),
        ("''", b"", "at least 1 character"),
    ],
)
def test_a_file_that_cannot_be_a_prompt_is_refused_at_its_line(path, file, says):
    text = FILED.replace("yoda.md", path)
    with pytest.raises(ConfigError, match=rf"^input\.yml:3:\d+: .*{says}"):
        schema.load(text, read=lambda _: file)


def test_a_key_of_an_api_in_the_file_is_refused_with_its_line():
    with pytest.raises(ConfigError, match=r"^yoda\.md:2:1: this looks like an API key"):
        bake_id(FILED, file=b"You are Yoda.\nsk-" + b"a" * 30)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (FILED.replace("content_file:", "content: No., content_file:"), "both given: keep one"),
        (INLINE.replace("TARGET:\n", "TARGET:\n  teacher: A.\n  teacher_prompt: teacher\n"),
         "teacher and teacher_prompt are both given"),
        (INLINE.replace("TARGET:\n", "TARGET:\n  teacher: teacher\n"),
         "`teacher_prompt: teacher` takes that"),
        (FILED.replace("content_file", "content_fil"), "did you mean `content_file`"),
    ],
)  # fmt: skip
def test_what_is_said_twice_or_meant_otherwise_is_refused(text, says):
    with pytest.raises(ConfigError, match=re.escape(says)):
        bake_id(text)


def test_a_target_that_starts_from_another_may_say_its_prompt_the_other_way():
    text = INLINE.replace(
        "TARGET:\n  generators",
        "TARGET:\n- name: other\n  template: main\n  teacher: No.\n"
        "- name: main\n  teacher_prompt: teacher\n  generators",
    ).replace("BAKE: {name: one}\n", "")
    first, second = resolve(schema.load(text), Head("ann", "yoda", BASE)).targets
    assert first.stim.teacher.messages[0]["content"] == "No."
    assert second.stim.teacher.messages[0]["content"] == "You are Yoda."


def write(repo: ModelRepo, path: str, text: str) -> None:
    (repo.root / path).write_text(text, encoding="utf-8")


def test_a_file_that_is_not_added_is_named_before_anything_runs(repo):
    write(repo, "input.yml", FILED)
    write(repo, "yoda.md", "You are Yoda.\n")
    git(repo.root, "add", "input.yml")
    with pytest.raises(ConfigError, match=r"(?m)3:.*it is not added$") as refused:
        repo.plan("index")
    assert refused.value.hint == "Run `bgit add yoda.md`."
    (repo.root / "yoda.md").rename(repo.root / "elsewhere.md")
    with pytest.raises(ConfigError) as refused:
        repo.plan("index")
    assert refused.value.hint == "Write it, then `bgit add yoda.md`."
    (repo.root / "elsewhere.md").rename(repo.root / "yoda.md")
    git(repo.root, "add", "yoda.md")
    assert repo.plan("index") == repo.plan("worktree")


@pytest.mark.parametrize(
    ("added", "next_one"),
    [
        ((), "bgit add input.yml yoda.md &&"),
        (("input.yml",), "bgit add yoda.md &&"),
        (("yoda.md",), "bgit add input.yml &&"),
    ],
)
def test_the_next_thing_is_to_add_all_that_input_yml_names(repo, added, next_one):
    git(repo.root, "commit", "-q", "--allow-empty", "-m", "first")
    write(repo, "input.yml", FILED)
    write(repo, "yoda.md", "You are Yoda.\n")
    for path in added:
        git(repo.root, "add", path)
    assert status(repo).next == f'{next_one} bgit commit -m "..."'
    if added == ("input.yml",):
        git(repo.root, "commit", "-qm", "too early")
        assert status(repo).next == f'{next_one} bgit commit -m "..."'


def test_input_yml_is_to_be_fixed_where_adding_a_file_would_not_help(repo):
    write(repo, "input.yml", FILED)
    git(repo.root, "add", "input.yml")
    assert status(repo).next.startswith("fix input.yml")


def test_check_says_which_named_files_are_not_added(repo):
    write(repo, "input.yml", FILED)
    write(repo, "yoda.md", "You are Yoda.\n")
    told = "yoda.md is not added yet: `bgit add yoda.md`"
    assert told in check.check(repo).as_data()["warnings"]
    git(repo.root, "add", "yoda.md")
    assert told not in check.check(repo).as_data()["warnings"]


def test_a_file_that_is_edited_since_is_named_before_a_bake_and_by_status(repo, capsys):
    write(repo, "input.yml", FILED)
    write(repo, "yoda.md", "You are Yoda.\n")
    git(repo.root, "add", "input.yml", "yoda.md")
    git(repo.root, "commit", "-qm", "Speak like Yoda")
    repo.check_can_record(repo.plan())
    write(repo, "yoda.md", "You are not Yoda.\n")
    with pytest.raises(RepoError, match=r"yoda\.md: changed and not committed"):
        repo.check_can_record(repo.plan())
    found = status(repo)
    assert found.changes == ("yoda.md: changed in the folder, not added",)
    assert any(name.startswith("one_") for name in found.pending)
    show_status(found)
    assert 'next: bgit add yoda.md && bgit commit -m "..."' in capsys.readouterr().out


def test_a_bake_of_a_commit_has_the_file_of_that_commit(repo):
    write(repo, "input.yml", FILED)
    write(repo, "yoda.md", "You are Yoda.\n")
    git(repo.root, "add", "input.yml", "yoda.md")
    git(repo.root, "commit", "-qm", "Speak like Yoda")
    before = repo.plan()
    write(repo, "yoda.md", "You are somebody else.\n")
    git(repo.root, "add", "yoda.md")
    assert ModelRepo(repo.git, at=repo.git.head()).plan() == before != repo.plan()


def test_a_link_out_of_the_repository_is_not_followed(repo, tmp_path: Path):
    secret = tmp_path / "secret.md"
    secret.write_text("mine")
    (repo.root / "yoda.md").symlink_to(secret)
    write(repo, "input.yml", FILED)
    for place in ("worktree", "index"):
        with pytest.raises(ConfigError, match="symbolic link"):
            repo.plan(place)
        git(repo.root, "add", "-A")
