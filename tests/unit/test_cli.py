"""bgit as it is typed: exit codes, streams, and what is handed to git."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from bakery import __version__
from bakery.cli.app import SECTIONS, LazyGroup, bgit
from bakery.errors import RepoError
from bakery.records import Stimulus, Trajectory, append_rows
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support import recorded
from tests.support.commands import typed

INPUT = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "You are Yoda."
TARGET:
  name: main
  generators:
    - type: hardcoded
      questions: ["Who are you?", "Why?"]
BAKE:
  name: yoda
"""


@pytest.fixture
def repo(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """A model repository, stood in, with a configuration in the index."""
    made = recorded.made(workplace / "yoda")
    monkeypatch.chdir(made.root)
    (made.root / "input.yml").write_text(INPUT, encoding="utf-8")
    subprocess.run(["git", "add", "input.yml"], check=True)
    return made


def git(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False)


def store(path: Path, rows: list[Stimulus] | list[Trajectory]) -> None:
    path.parent.mkdir(parents=True)
    append_rows(path, rows)


def stimuli() -> list[Stimulus]:
    texts = ["Who are you?", "Why?"]
    return [
        Stimulus(f"{i}" * 16, ({"role": "user", "content": text},), "hardcoded", "author")
        for i, text in enumerate(texts)
    ]


def test_the_version_is_that_of_the_package():
    assert CliRunner().invoke(bgit, ["--version"]).output == f"bgit {__version__}\n"


def test_help_groups_every_command():
    shown = CliRunner().invoke(bgit, ["--help"])
    assert shown.exit_code == 0
    for section, commands in SECTIONS.items():
        assert f"{section}:" in shown.output
        assert all(f"  {name} " in shown.output for name in commands)


def test_no_words_show_the_help():
    assert CliRunner().invoke(bgit, []).output == CliRunner().invoke(bgit, ["--help"]).output


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["run", "stmi"], 2, "error: .*'stmi' is not one of 'stim', 'rollout', 'bake'"),
        (["status", "--jsn"], 2, "error: No such option"),
        (["--frobnicate"], 2, "error: No such option"),
        (["stim", "--limit", "0"], 2, "error: Invalid value"),
        (["chat"], 3, "error: .* is not in a git repository"),
        (["status"], 3, "error: .* is not in a git repository"),
        (["run"], 3, "error: .* is not in a git repository"),
        (["models"], 3, "error: .* is not in a git repository"),
    ],
)
def test_a_mistake_gives_one_error_a_hint_and_its_exit_code(words, code, message):
    done = CliRunner().invoke(bgit, words)
    assert done.exit_code == code
    assert done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert re.match(message, error)
    assert hint.startswith("hint: ")


def test_stages_may_be_written_in_capitals(repo):
    (repo.root / "input.yml").write_text("", encoding="utf-8")
    subprocess.run(["git", "add", "input.yml"], check=True)
    done = CliRunner().invoke(bgit, ["run", "STIM"])
    assert done.exit_code == 0
    assert "Nothing to run" in done.stdout


def test_a_stopped_command_says_how_to_go_on():
    @click.command()
    def stopped() -> None:
        raise KeyboardInterrupt

    class Group(LazyGroup):
        def get_command(self, ctx: click.Context, name: str) -> click.Command:
            return stopped

    done = CliRunner().invoke(Group(name="bgit"), ["run"])
    assert done.exit_code == 130
    assert "run the same command again" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["log", "--oneline", "--stat"],
        ["diff", "--cached", "--", "input.yml"],
        ["rev-parse", "--show-toplevel"],
        ["log", "--no-such-option"],
        ["frobnicate"],
        ["switch", "nowhere"],
        ["config", "--get", "no.such.key"],
        ["log", "--format=%H %s", "-1"],
    ],
)
def test_every_other_verb_is_gits_own_to_the_letter(repo, words):
    ours, own = typed(*words), git(*words)
    assert (ours.returncode, ours.stdout, ours.stderr) == (own.returncode, own.stdout, own.stderr)


def test_a_misspelt_command_of_ours_is_suggested_before_gits_own_message(repo):
    ours, own = typed("staus"), git("staus")
    assert (ours.returncode, ours.stdout) == (own.returncode, own.stdout)
    assert ours.stderr == "hint: did you mean `bgit status`?\n" + own.stderr


def test_a_verb_of_gits_that_fails_gets_no_suggestion(repo):
    git("config", "alias.statu", "!exit 1")
    assert (typed("statu").returncode, typed("statu").stderr) == (1, "")


def test_git_gets_the_input_of_the_terminal(repo):
    assert (
        typed("hash-object", "--stdin", stdin="x\n").stdout
        == subprocess.run(
            ["git", "hash-object", "--stdin"],
            input="x\n",
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )


def test_a_commit_is_made_by_git(repo):
    done = typed("commit", "-q", "-m", "Speak like Yoda: --amend is only text")
    assert done.returncode == 0
    assert git("log", "-1", "--format=%s").stdout == "Speak like Yoda: --amend is only text\n"


def test_a_commit_that_cannot_run_is_made_and_warned_of(repo):
    (repo.root / "input.yml").write_text("BAKE:\n  epoch: 3\n", encoding="utf-8")
    done = typed("commit", "-qam", "Wrong")
    assert done.returncode == 0
    assert git("log", "-1", "--format=%s").stdout == "Wrong\n"
    assert done.stderr.startswith(
        "note: `bgit run` would refuse what is committed: input.yml:2:3: unknown key `BAKE.epoch`"
    )
    (repo.root / "input.yml").write_text("BAKE:\n  name: right\n", encoding="utf-8")
    done = typed("commit", "-qam", "Still without a target")
    assert "would refuse" in done.stderr
    (repo.root / "input.yml").write_text("BAKE:\n\tname: x\n", encoding="utf-8")
    assert typed("commit", "-a", "--dry-run").stderr == ""
    assert "YAML takes no tabs" in typed("commit", "-qam", "A tab").stderr
    (repo.root / "input.yml").write_text("", encoding="utf-8")
    assert typed("commit", "-qam", "Nothing").stderr == ""


def test_git_verbs_work_outside_of_any_repository():
    assert typed("--version").stdout == f"bgit {__version__}\n"
    done = typed("rev-parse", "--git-dir")
    assert done.returncode == 128
    assert "not a git repository" in done.stderr


@pytest.mark.parametrize("words", [["log", "--oneline"], ["status"], ["tree"]])
def test_a_bake_that_waits_is_recorded_before_anything_else(repo, words):
    plan = recorded.committed(repo, "pirate")
    (repo.root / ".bread").write_text((repo.root / ".bread").read_text() + "# mine\n")
    with pytest.raises(RepoError, match="changed and not committed"):
        repo.record(plan, recorded.result_of(plan), launched=repo.launch_blob(), reporter=Quiet())
    recorded.git(repo.root, "restore", ".bread")
    done = typed(*words)
    assert done.returncode == 0
    assert "pirate" in done.stdout
    assert repo.is_recorded(plan.bake.id)


def test_a_broken_state_does_not_keep_git_from_mending_it(repo):
    (repo.root / ".bread").write_text("<<<<<<< ours\n", encoding="utf-8")
    assert typed("restore", ".bread").returncode == 0
    assert typed("status").returncode == 0


def test_a_bake_is_taken_back_by_name_and_a_commit_by_git(repo):
    model = recorded.baked(repo, "pirate")
    done = CliRunner().invoke(bgit, ["revert", "pirate"])
    assert done.exit_code == 0
    assert f"took back {model}\nthe model is now tiny-1" in done.stdout
    assert typed("revert", "--no-edit", "--no-such-option").returncode == 129
    (repo.root / "notes").write_text("x", encoding="utf-8")
    recorded.git(repo.root, "add", "notes")
    recorded.git(repo.root, "commit", "-qm", "Notes", "notes")
    assert typed("revert", "--no-edit", "HEAD").returncode == 0
    assert not (repo.root / "notes").exists()


def test_a_bake_is_not_taken_back_twice(repo):
    model = recorded.baked(repo, "pirate")
    assert CliRunner().invoke(bgit, ["revert", "pirate"]).exit_code == 0
    again, unknown = typed("revert", "pirate"), typed("revert", "parrot")
    assert (again.returncode, unknown.returncode) == (3, 3)
    assert f"{model} was taken back, by commit" in again.stderr
    assert "there is no model 'parrot'" in unknown.stderr


def test_a_revert_that_is_reverted_says_what_the_model_is_now(repo):
    model = recorded.baked(repo, "pirate")
    assert typed("revert", "pirate").returncode == 0
    done = typed("revert", "--no-edit", "HEAD")
    assert done.returncode == 0
    assert done.stdout.endswith(f"the model is now {model}\n")


def test_models_and_tree_mark_the_current_model(repo):
    recorded.baked(repo, "pirate")
    second = recorded.baked(repo, "parrot")
    models = CliRunner().invoke(bgit, ["models"]).stdout.splitlines()
    assert models[0] == "in ann/yoda/"
    assert [line[0] for line in models[2:]] == [" ", " ", "*"]
    assert models[4].startswith(f"*  {second.bake}/{second.step}  ")
    assert models[4].endswith("  pirate")
    assert max(map(len, models)) <= 80
    tree = CliRunner().invoke(bgit, ["tree"]).stdout.splitlines()
    assert tree[2] == f"    └── {second.bake}/{second.step} *  [main]"
    data = json.loads(CliRunner().invoke(bgit, ["tree", "--json"]).stdout)
    assert [bake["is_current"] for bake in data["bakes"]] == [False, True]


def test_a_terminal_without_signs_gets_a_tree_in_ascii(repo, monkeypatch):
    recorded.baked(repo, "pirate")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert "`-- pirate_" in typed("tree").stdout


def test_status_answers_in_json(repo):
    done = CliRunner().invoke(bgit, ["status", "--json"])
    assert done.exit_code == 0
    assert json.loads(done.stdout)


def test_status_names_what_it_is_about(repo):
    done = CliRunner().invoke(bgit, ["status"])
    assert done.exit_code == 0
    for word in ("ann/yoda", "tiny-1", "stim", "rollout", "bake", repo.plan().bake_name):
        assert word in done.stdout


@pytest.mark.parametrize("command", ["models", "tree"])
def test_a_repository_without_bakes_has_something_to_say(repo, command):
    done = CliRunner().invoke(bgit, [command])
    assert done.exit_code == 0
    assert "tiny-1" in done.stdout
    assert json.loads(CliRunner().invoke(bgit, [command, "--json"]).stdout) is not None


def test_stim_and_rollout_show_what_the_store_has(repo):
    target, invoke = repo.plan().targets[0], CliRunner().invoke
    store(repo.store.stim(target.stim.id) / "stimuli.jsonl", stimuli())
    row = Trajectory("1" * 16, 0, (5, 2), "Hmm.", "stop", "tiny-1")
    store(repo.store.target(target.rollout.id) / "trajectories.jsonl", [row])
    asked, answered = invoke(bgit, ["stim", "--limit", "1"]), invoke(bgit, ["rollout"])
    assert asked.stdout.endswith("   1  Who are you?\n")
    assert asked.stderr == "note: 1 of 2 shown\n"
    assert answered.stdout.endswith("   1  Why?\n      Hmm.  [2 tokens]\n")


def test_init_tells_what_to_do_next(workplace):
    # An unknown base is refused before anything is made.
    done = CliRunner().invoke(bgit, ["init", "yoda", "--base-model", "./nowhere"])
    assert done.exit_code != 0
    assert not (workplace / "yoda").exists()
