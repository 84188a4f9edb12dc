"""`bgit init` with a prompt of one's own, or with a template of the gallery."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from rich.text import Text

from bakery.app import drafts
from bakery.errors import ConfigError, RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.ui import console
from tests.support.commands import typed_here
from tests.support.recorded import BASE, git

NAMES = ["few-shot-classifier", "house-style", "json-format", "persona", "support-bot"]


def made(*words: str) -> str:
    done = typed_here("init", *words)
    assert done.exit_code == 0, done.output
    return done.output


def committed(root: Path) -> ModelRepo:
    repo = ModelRepo.find(root)
    git(root, "add", ".")
    git(root, "commit", "-qm", "What is baked in")
    return repo


def test_the_gallery_is_complete():
    assert [one.name for one in drafts.templates()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_template_is_ready_to_run(name, workplace):
    made("x", "--template", name)
    repo = committed(workplace / "x")
    plan = repo.plan()
    repo.check_can_record(plan)
    assert plan.bake is not None
    assert plan.warnings == ()
    assert (workplace / "x" / "TEMPLATE.md").read_text("utf-8").startswith("# ")


@pytest.mark.parametrize("name", NAMES)
def test_a_template_says_what_it_is_and_names_its_files(name):
    files = drafts.of_template(name)
    readme, written = files["TEMPLATE.md"].decode(), files["input.yml"].decode()
    for told in ("**What is baked.**", "**Questions.**", "**The base.**", "**What to expect.**",
                 "**How to see it.**", "**When not to.**"):  # fmt: skip
        assert told in readme
    questions = files["questions.txt"].decode().splitlines()
    assert f" {len(questions)} " in readme
    assert len(set(questions)) == len(questions) >= 40
    assert f"bgit add {' '.join(sorted(files.keys() - {'TEMPLATE.md'}))}\n" in written


def test_a_wrong_template_lists_them_with_the_nearest(workplace):
    done = typed_here("init", "x", "--template", "personna")
    assert done.exit_code == 2
    assert "did you mean `persona`?" in done.output
    assert all(name in done.output for name in NAMES)
    assert not (workplace / "x").exists()


def test_a_template_without_a_name_lists_them():
    done = typed_here("init", "--template")
    assert done.exit_code == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == NAMES


def test_on_a_narrow_terminal_the_gallery_is_folded(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    console.show_templates(drafts.templates())
    lines = capsys.readouterr().out.splitlines()
    assert max(len(Text.from_ansi(line).plain) for line in lines) <= 50
    assert len(lines) > len(NAMES)


def test_a_repository_of_no_template_is_not_made(workplace):
    done = typed_here("init", "x", "--template")
    assert done.exit_code == 2
    assert all(name in done.output for name in NAMES)
    assert not (workplace / "x").exists()


def test_a_template_that_tiny_does_not_obey_says_so(workplace):
    assert "does not obey" in made("x", "--template", "json-format")
    assert "does not obey" not in made("y", "--template", "persona")


PROMPT = 'You are brief.\nAlways: "yes" or #no.\n'


def test_a_prompt_is_ready_to_run_from_its_own_file(workplace):
    (workplace / "mine.md").write_text(PROMPT, encoding="utf-8")
    told = made("x", "--prompt", "mine.md")
    assert "bgit add input.yml prompt.md\n" in told
    (target,) = committed(workplace / "x").plan().targets
    assert target.stim.teacher.messages == ({"role": "system", "content": PROMPT.rstrip("\n")},)
    assert [g["type"] for g in target.stim.generators] == ["oneshot_qs"]


def test_a_prompt_comes_with_questions_of_one_s_own(workplace):
    (workplace / "mine.txt").write_text(PROMPT, encoding="utf-8")
    (workplace / "asked.csv").write_text("question\nWho?\nWhy?\n", encoding="utf-8")
    made("x", "--prompt", "mine.txt", "--questions", "asked.csv")
    plan = committed(workplace / "x").plan()
    assert plan.sources == ("prompt.txt", "questions.csv")
    assert plan.bake_name is not None
    assert plan.bake_name.startswith("x_bake_")


def test_a_prompt_inside_of_the_folder_stays_where_it_is(workplace):
    (workplace / "x" / "my prompts").mkdir(parents=True)
    (workplace / "x" / "my prompts" / "a b.md").write_text(PROMPT, encoding="utf-8")
    told = made("x", "--prompt", "x/my prompts/a b.md")
    assert "bgit add input.yml 'my prompts/a b.md'\n" in told
    assert committed(workplace / "x").plan().sources == ("my prompts/a b.md",)


def test_a_prompt_replaces_no_file_of_another_content(workplace):
    (workplace / "mine.md").write_text(PROMPT, encoding="utf-8")
    (workplace / "x").mkdir()
    (workplace / "x" / "prompt.md").write_text("Another.", encoding="utf-8")
    done = typed_here("init", "x", "--prompt", "mine.md")
    assert (done.exit_code, "x holds prompt.md" in done.output) == (3, True)
    assert [path.name for path in (workplace / "x").iterdir()] == ["prompt.md"]


@pytest.mark.parametrize("option", ["--prompt", "--questions"])
@pytest.mark.parametrize(("name", "says"), [("pipe.txt", "is a pipe or a device"),
                                            ("folder.txt", "is a folder"),
                                            ("huge.txt", "is larger than")])  # fmt: skip
def test_what_never_ends_is_not_read(name, says, option, workplace):
    os.mkfifo(workplace / "pipe.txt")
    (workplace / "folder.txt").mkdir()
    with (workplace / "huge.txt").open("wb") as huge:
        huge.truncate((4 << 30) + 1)
    (workplace / "q.txt").write_text("Who?\n", encoding="utf-8")
    words = ["--prompt", "q.txt"] if option == "--questions" else []
    done = typed_here("init", "x", *words, option, name)
    assert (done.exit_code, f"{name} {says}" in done.output) == (2, True), done.output
    assert not (workplace / "x").exists()


@pytest.mark.parametrize("name", ["p\n`id`.md", "p\x1b.md", "p\u2028q.md", "p\udcff.md"])
@pytest.mark.parametrize("option", ["--prompt", "--questions"])
def test_a_name_that_would_break_out_of_a_line_is_refused(name, option, workplace):
    (workplace / "x").mkdir()
    (workplace / "q.txt").write_text("Who?\n", encoding="utf-8")
    path = workplace / "x" / Path(name).with_suffix(".txt")
    path.write_text("Who?\n", encoding="utf-8")
    words = ["--prompt", "q.txt"] if option == "--questions" else []
    done = typed_here("init", "x", *words, option, str(path))
    assert (done.exit_code, "control character in its name" in done.output) == (2, True)
    assert list((workplace / "x").iterdir()) == [path]


def test_what_input_yml_says_to_type_runs_nothing_of_a_name(workplace):
    (workplace / "x").mkdir()
    (workplace / "x" / "`id`.md").write_text(PROMPT, encoding="utf-8")
    made("x", "--prompt", "x/`id`.md")
    assert "#   bgit add input.yml '`id`.md'\n" in (workplace / "x/input.yml").read_text("utf-8")


def test_a_prompt_in_git_s_own_folder_is_refused(workplace):
    git(workplace, "init", "-q", "x")
    (workplace / "x" / ".git" / "p.md").write_text(PROMPT, encoding="utf-8")
    done = typed_here("init", "x", "--prompt", "x/.git/p.md")
    assert (done.exit_code, "where the repository cannot keep it" in done.output) == (2, True)
    assert [path.name for path in (workplace / "x").iterdir()] == [".git"]


def test_where_it_fails_no_draft_is_left(workplace, monkeypatch):
    (workplace / "mine.md").write_text(PROMPT, encoding="utf-8")
    (workplace / "x").mkdir()
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"):
        monkeypatch.setenv(name, "")
    with pytest.raises(RepoError):
        ModelRepo.init(
            workplace / "x", name="x", owner="ann", base=BASE,
            draft=drafts.of_prompt(Path("mine.md"), None, folder=workplace / "x", name="x"),
        )  # fmt: skip
    assert list((workplace / "x").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("gone.md", None, "no such file"),
        ("empty.md", b"\n\n", "is empty"),
        ("blank.md", b" \n\t\n", r"blank\.md is empty"),
        ("latin.md", b"caf\xe9", "is not text in UTF-8"),
        ("large.md", b"a" * ((1 << 20) + 1), r"^large\.md is larger than 1 MiB"),
        ("odd.md", b"a\x00b", "U\\+0000"),
        ("messages.json", b"[]", "a prompt is text here"),
        ("secret.md", b"sk-" + b"a" * 30, "looks like an API key"),
    ],
)
def test_what_is_no_prompt_is_refused(name, content, says, workplace):
    path = Path(name)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=says):
        drafts.of_prompt(path, None, folder=workplace / "x", name="x")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["x", "--questions", "q.txt"], "--questions goes with --prompt"),
        (["x", "--template", "persona", "--prompt", "q.txt"], "give it alone"),
        (["x", "--prompt", "q.txt", "--questions", "q.pdf"], "is not a kind of file"),
        (["x", "--prompt", "q.txt", "--questions", "empty.txt"], "it has no questions"),
        (["x", "--prompt", "q.txt", "--questions", "gone.csv"], "no such file"),
        ([], "Missing argument 'NAME'"),
    ],
)
def test_what_does_not_go_together_is_refused(words, says, workplace):
    (workplace / "q.txt").write_text("Who?\n", encoding="utf-8")
    (workplace / "empty.txt").write_text("\n", encoding="utf-8")
    done = typed_here("init", *words)
    assert (done.exit_code, says in done.output) == (2, True), done.output
    assert not (workplace / "x").exists()
