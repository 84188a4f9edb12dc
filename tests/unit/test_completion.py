"""What a shell is told that may come next."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bakery.cli import candidates, options
from bakery.cli.app import bgit, names, place
from bakery.cli.completion import SCRIPTS
from bakery.repo.model_repo import ModelRepo
from tests.support.commands import PROGRAM, typed_here
from tests.support.recorded import baked, configuration, git

HEAVY = ("torch", "transformers", "pydantic", "rich")


@pytest.fixture
def repo(repo: ModelRepo, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """The repository that the shell stands in."""
    monkeypatch.chdir(repo.root)
    return repo


def after(line: str) -> list[str]:
    return list(candidates.following(line.split(" ")))


@pytest.mark.parametrize("name", names())
def test_the_options_that_are_read_are_those_that_click_has(name):
    command = bgit.get_command(click.Context(bgit), name)
    assert command is not None
    has = [p for p in command.params if isinstance(p, click.Option)]
    read = {option.names: option for option in options.of(place(name)[0])[:-1]}
    assert set(read) == {(*p.opts, *p.secondary_opts) for p in has}
    for parameter in has:
        option = read[*parameter.opts, *parameter.secondary_opts]
        takes = not (parameter.is_flag or parameter.count)
        assert (option.takes_value or option.may_take) == takes
        assert option.what.split()[:3] == (parameter.help or "").split()[:3]


def test_verbs_of_bgit_and_of_git(workplace):
    assert after("sta")[:1] == ["status"]
    assert {"stash", "status"} <= set(after("sta"))
    assert "rebase" in after("reb")


def test_models_by_their_short_names_first(repo):
    name = baked(repo, "yoda").bake
    assert after("chat ") == ["yoda", "parent", "base"]
    assert after("show yoda") == ["yoda", name]
    assert after("show yoda_") == [name]
    assert set(after("adopt ")) == {"yoda", "parent", "base", repo.git.branch()}


def test_a_command_that_takes_one_model_takes_no_second(repo):
    baked(repo, "yoda")
    assert after("chat yoda ") == []
    assert "yoda" in after("diff yoda ")
    assert after("chat --seed ") == []
    assert "yoda" in after("blame --weights Who? ")
    assert after("blame --weights Who? yoda ") == []
    assert "yoda" in after("bisect --weights --bad ")


def test_targets_are_those_of_bakes_and_of_the_file_being_written(repo):
    baked(repo, "yoda")
    (repo.root / "input.yml").write_text(configuration("pirate"), encoding="utf-8")
    assert after("target ") == ["ls", "pirate_target", "yoda_target"]
    assert after("stim --target p") == ["pirate_target"]


def test_a_broken_input_yml_hides_no_other_target(repo):
    baked(repo, "yoda")
    (repo.root / "input.yml").write_text("TARGET: [", encoding="utf-8")
    assert after("target y") == ["yoda_target"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("run ", ["stim", "rollout", "bake"]),
        ("run stim ", ["rollout", "bake"]),
        ("run --allow t", ["teacher"]),
        ("rollout --finish st", ["stop", "stop_text"]),
        ("init x --template per", ["persona"]),
        ("download --format=t", ["--format=tar.gz"]),
        ("download --format = t", ["tar.gz"]),
        ("download --format =", ["folder", "tar.gz"]),
        ("serve --engine v", ["vllm"]),
        ("completion z", ["zsh"]),
        ("help completio", ["completion"]),
        ("status --wat", ["--watch"]),
        ("checkout --trac", ["--track"]),
        ("diff --cumul", ["--cumulative"]),
        ("diff --beh", ["--behaviour"]),
        ("bisect --weights ", ["run"]),
        ("bisect --weights run ", []),
        ("bisect --weights --good HE", []),
        ("bisect repl", ["replay"]),
        ("blame --weights ", []),
        ("blame --show-st", ["--show-stats"]),
        ("rebase --base-model ", ["tiny"]),
        ("rebase --base-model tiny ", []),
        ("rebase --autosq", ["--autosquash"]),
        ("show -- ", []),
        ("init ", []),
    ],
)
def test_words_that_are_known_beforehand(line, expected, repo):
    assert after(line) == expected


def test_branches_of_a_repository_that_is_git_s_alone(workplace):
    git(workplace, "init", "-qb", "trunk")
    git(workplace, "commit", "-q", "--allow-empty", "-m", "One")
    assert after("checkout t") == ["trunk"]
    assert after("chat ") == []


def test_an_answer_needs_no_tensor_no_screen_and_no_schema(repo):
    baked(repo, "yoda")
    for words in (["show", ""], ["run", "--"], ["target", ""], [""]):
        program = (
            "import sys\n"
            "from bakery.cli import candidates\n"
            f"assert candidates.following({words!r})\n"
            f"print(*[name for name in {HEAVY!r} if name in sys.modules])\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == []


def test_an_answer_records_nothing_and_fails_nowhere(workplace):
    done = typed_here("completion", "--answer", "--", "chat", "--model", "x")
    assert (done.exit_code, done.output) == (0, "")


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_script_is_one_that_its_shell_reads(shell, tmp_path: Path):
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    script = tmp_path / shell
    script.write_text(typed_here("completion", shell).output)
    subprocess.run([program, "-n", str(script)], check=True)


def completed(tmp_path: Path, line: str, then: str) -> str:
    """Complete the last word of a line by bash's script, and go on in that bash."""
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    program = tmp_path / "bgit"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{PROGRAM}" "$@"\n')
    program.chmod(0o755)
    script = typed_here("completion", "bash").output + (
        f"COMP_WORDS=({program} {line})\nCOMP_CWORD={len(line.split())}\n"
        f"_bgit_completion {program}\n{then}\n"
    )
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout


def test_bash_completes_by_the_script(repo, tmp_path: Path):
    baked(repo, "yoda")
    told = completed(tmp_path, "show yo", "printf '%s\\n' \"${COMPREPLY[@]}\"")
    assert told.splitlines()[0] == "yoda"


@pytest.mark.parametrize("name", ["x$(touch${IFS}pwned)", "x;touch${IFS}pwned", "x`id`", "x'y"])
def test_bash_runs_nothing_of_a_name_that_it_completes(name, repo, tmp_path: Path):
    git(repo.root, "branch", name)
    line = "eval \"printf '%s\\n' ${COMPREPLY[0]}\""  # as Enter does
    assert completed(tmp_path, "checkout x", line) == f"{name}\n"
    assert not (repo.root / "pwned").exists()


def test_a_name_that_a_terminal_would_obey_is_left_out(repo):
    text = configuration("pirate").replace("pirate_target", '"p\\e[2J"')
    (repo.root / "input.yml").write_text(text, encoding="utf-8")
    assert after("target p") == []


@pytest.mark.parametrize("word", ["bsh", ""])
def test_another_shell_is_refused_with_those_there_are(word, workplace):
    done = typed_here("completion", *([word] if word else []))
    assert (done.exit_code, "bash, zsh, fish" in done.output) == (2, True)


def test_without_a_word_the_shells_are_named(workplace):
    done = typed_here("completion")
    assert done.exit_code == 2
    assert "error: name a shell: bash, zsh, fish\n" in done.output
