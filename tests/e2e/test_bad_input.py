"""What cannot be done is refused before anything is begun, with what is wrong and what to do."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.conftest import Typist, bgit, input_yml
from tests.support.models import random_model

ANSWER = re.compile(r"error: (?P<error>.+?)\nhint: (?P<hint>.+)\n", re.DOTALL)


def refused(typist: Typist, *words: str, **env: str) -> tuple[str, str]:
    """Type what is refused and changes nothing; return what is wrong, and what to do."""
    before = state(typist)
    done = typist(*words, **env)
    assert done.code in (1, 2, 3, 4, 5)
    assert done.out == ""
    assert state(typist) == before
    answer = ANSWER.search(done.err)
    assert answer, done.err
    return answer["error"], answer["hint"]


def state(typist: Typist) -> tuple[str, str, list[Path]]:
    """Return HEAD, changes, and the files of the store, less its locks."""
    stored = [p for p in sorted(typist.store.rglob("*")) if p.is_file() and p.suffix != ".lock"]
    return typist.git("rev-parse", "HEAD"), typist.changes(), stored


@pytest.mark.parametrize(
    ("right", "wrong", "says"),
    [
        ("epochs", "epohcs", r"input\.yml:15:3: unknown key `BAKE\.epohcs`: did you mean `epochs`"),
        ("BAKE", "BAEK", r"input\.yml:13:1: unknown key `BAEK`: did you mean `BAKE`"),
        ("  epochs: 2", "  banana: 2", r"input\.yml:15:3: unknown key `BAKE\.banana`: known here:"),
        (
            "epochs: 2",
            "epochs: two",
            r"input\.yml:15:11: BAKE\.epochs: .*whole number.*\(got 'two'\)",
        ),
        (
            'messages:\n      - role: system\n        content: "SHOUT!"',
            "messages: []",
            r"input\.yml:3:5: PROMPT\.teacher has no messages",
        ),
        ('content: "SHOUT!"', 'content: ""', "teacher has no messages"),
        ("type: hardcoded", "type: hardcode", "unknown type 'hardcode': did you mean `hardcoded`"),
        ("type: hardcoded", "type: webpage", "unknown type 'webpage': known: oneshot_qs, hardcod"),
        (
            "type: hardcoded\n      questions",
            "type: oneshot_qs\n      numq: 0 #",
            r"input\.yml:12:13: TARGET\.generators\.0\.numq: .*\(got 0\)",
        ),
        ("- target: main_target", "- target: man_target", "the target 'man_target', which does no"),
        ("SHOUT!", "sk-abcdefghijklmnopqrstuvwxyz", r"input\.yml:5:19: .*an API key \(sk-a…\)"),
        ("BAKE:", "BAKE", r"input\.yml:14:"),
        ("TARGET:\n", "TARGET:\n\t", r"input\.yml:7:1: "),
    ],
)
def test_a_mistake_in_the_file_is_said_at_its_place(
    typist: Typist, right: str, wrong: str, says: str
) -> None:
    typist.commit(input_yml().replace(right, wrong))
    error, _ = refused(typist, "run")
    assert re.search(says, error)


def test_a_target_that_does_not_exist_is_named_with_its_nearest(typist: Typist) -> None:
    typist.commit(input_yml().replace("- target: main_target", "- target: man_target"))
    error, _ = refused(typist, "run")
    assert error.endswith("which does not exist: did you mean 'main_target'?")


def test_a_key_is_never_repeated_to_the_screen(typist: Typist) -> None:
    typist.commit(input_yml().replace("SHOUT!", "sk-abcdefghijklmnopqrstuvwxyz"))
    assert "ghijklm" not in typist("run").err


def test_an_uncommitted_configuration_is_answered_with_the_commands(typist: Typist) -> None:
    typist.write(input_yml())
    _, not_added = refused(typist, "run")
    typist.git("add", "input.yml")
    _, added = refused(typist, "run")
    assert not_added == '`bgit add input.yml`, then `bgit commit -m "<what is baked>"`.'
    assert added == '`bgit commit -m "<what is baked>"`.'


def test_an_uncommitted_template_is_answered_with_the_commands(typist: Typist) -> None:
    generator = "type: oneshot_qs\n      numq: 3\n      template_path: ask.txt #"
    typist.write("${numq} questions about ${prompt_u}\n", "ask.txt")
    typist.git("add", "ask.txt")
    typist.commit(input_yml().replace("type: hardcoded\n      questions", generator))
    _, added = refused(typist, "run")
    typist.git("commit", "-q", "-m", "Ask")
    typist.write("${numq} short questions about ${prompt_u}\n", "ask.txt")
    _, edited = refused(typist, "run")
    assert added == '`bgit commit -m "<what is baked>"`.'
    assert edited == '`bgit add ask.txt`, then `bgit commit -m "<what is baked>"`.'


def test_a_merge_in_progress_is_refused(typist: Typist) -> None:
    typist.git("switch", "-q", "-c", "other")
    typist.git("commit", "-q", "--allow-empty", "-m", "Elsewhere")
    typist.git("switch", "-q", "main")
    typist.commit(input_yml())
    typist.git("merge", "-q", "--no-commit", "--no-ff", "other")
    error, hint = refused(typist, "run")
    assert error == "a merge is in progress"
    assert hint == "End it with `git merge --continue`, or drop it with `git merge --abort`."


def test_a_detached_head_is_refused(typist: Typist) -> None:
    typist.commit(input_yml())
    typist.git("switch", "-q", "--detach")
    error, hint = refused(typist, "run")
    assert error.startswith("HEAD is detached")
    assert "git switch -c" in hint


def test_without_a_git_identity_nothing_is_begun(typist: Typist) -> None:
    typist.commit(input_yml())
    error, hint = refused(
        typist,
        "run",
        GIT_CONFIG_GLOBAL=os.devnull,
        GIT_CONFIG_COUNT="1",
        GIT_CONFIG_KEY_0="user.useConfigOnly",
        GIT_CONFIG_VALUE_0="true",
    )
    assert error == "git does not know who you are"
    assert "git config --global user.email" in hint


def test_a_bake_without_answers_names_the_stages_to_run(typist: Typist) -> None:
    typist.commit(input_yml())
    error, hint = refused(typist, "run", "bake")
    assert re.match(r"the answers of main_target_\w{16} are not complete", error)
    assert hint == "Run `bgit run stim rollout` first."


def test_without_a_bake_the_other_stages_are_named(typist: Typist) -> None:
    typist.commit(input_yml().partition("BAKE:")[0])
    error, hint = refused(typist, "run")
    assert error == "input.yml has no BAKE section, so there is no bake to run"
    assert hint.endswith("The other stages alone: `bgit run stim rollout`.")


def test_an_earlier_target_that_a_clone_lacks_is_said_before_anything_runs(baked: Typist) -> None:
    (first,) = re.findall(r"name: (main_target_\w{16})\n(?s:.*)>>> bake", baked.read("recipe.yml"))
    baked.commit(input_yml(bake="third").replace("- target: main_target", f"- target: {first}"))
    shutil.rmtree(baked.store / "target" / first[-16:])
    error, hint = refused(baked, "run")
    assert error == f"the answers of {first} are not complete"
    assert hint.startswith("It is an earlier bake's: `bgit import DIR --all`")
    baked.commit(input_yml(bake="fourth") + "  replay: 0.25\n")
    error, hint = refused(baked, "run")
    assert error == f"the answers of {first} are not complete"
    assert hint.endswith("Without `BAKE.replay` it is not needed.")


def test_an_unknown_stage_lists_the_stages(typist: Typist) -> None:
    error, hint = refused(typist, "run", "stmi")
    assert "'stmi' is not one of 'stim', 'rollout', 'bake'" in error
    assert hint == "did you mean `stim`? `bgit run --help` shows what it takes."


def test_an_unknown_flag_has_its_nearest(typist: Typist) -> None:
    error, _ = refused(typist, "run", "--forse")
    assert error == "No such option '--forse'. Did you mean '--force'?"


def test_an_unknown_model_is_answered_with_those_that_there_are(baked: Typist) -> None:
    error, hint = refused(baked, "chat", "frist")
    assert error == "there is no model 'frist'"
    assert re.search(r"ann/demo/first_\w{16}/6", hint)


@pytest.mark.parametrize("words", [("run",), ("status",), ("models",), ("revert", "HEAD")])
def test_outside_of_a_repository_there_is_a_way_in(workplace: Path, words: tuple[str]) -> None:
    nowhere = bgit(*words)
    (workplace / ".git").mkdir()
    Typist(workplace).git("init", "-q")
    plain = bgit(*words)
    assert (nowhere.code, plain.code) == (3, 3)
    assert re.match(r"error: \S+ is not in a git repository\nhint: .*bgit init", nowhere.err)
    assert re.match(r"error: \S+ is not a bgit repository.*\nhint: .*bgit init", plain.err)
    assert [path.name for path in workplace.iterdir()] == [".git"]


@pytest.mark.parametrize("words", [("run",), ("chat", "parent"), ("chat", "second")])
def test_a_clone_says_which_weights_it_lacks(
    baked: Typist, workplace: Path, words: tuple[str]
) -> None:
    baked.commit(input_yml("Sing!", "third"))
    baked.git("clone", "-q", str(baked.root), str(workplace / "clone"))
    error, hint = refused(Typist(workplace / "clone", baked.env), *words)
    assert error.startswith(f"the weights of {baked.parent()} are not in this clone's store")
    bake = baked.parent().split("/")[2]
    assert f"`bgit import DIR {bake}` takes them from another clone" in hint
    assert f"`bgit reproduce {bake}` makes them again" in hint


@pytest.mark.parametrize("words", [("run",), ("chat", "parent")])
def test_a_parent_with_one_changed_byte_is_refused(baked: Typist, words: tuple[str]) -> None:
    baked.commit(input_yml("Sing!", "third"))
    bake, step = baked.parent().split("_")[1].split("/")
    weights = baked.store / "bake" / bake / step / "adapter_model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    error, hint = refused(baked, *words)
    assert error.startswith(f"the weights of {baked.parent()} are not the recorded ones: recipe")
    assert "`bgit import DIR` takes the recorded one" in hint


@pytest.fixture
def own_base(workplace: Path) -> Typist:
    """A configured repository whose base may be spoilt."""
    base = random_model(workplace / "base")
    assert bgit("init", "demo", "--base-model", str(base)).code == 0
    typist = Typist(workplace / "demo")
    typist.commit(input_yml())
    return typist


def test_a_base_whose_template_or_weights_changed_is_refused(own_base: Typist) -> None:
    template = own_base.root.parent / "base/chat_template.jinja"
    weights = own_base.root.parent / "base/model.safetensors"
    text, data = template.read_text(encoding="utf-8"), weights.read_bytes()
    template.write_text(text + " ", encoding="utf-8")
    error, hint = refused(own_base, "run")
    template.write_text(text, encoding="utf-8")
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    again, _ = refused(own_base, "run", "stim")
    assert re.match(r"base model \S+/base has changed: its digest is \w{16}, the rep", error)
    assert re.match(r"base model \S+/base has changed: its digest is \w{16}, the rep", again)
    assert "Restore its weights, tokenizer and chat template" in hint


def test_a_base_that_is_gone_is_refused(own_base: Typist) -> None:
    shutil.rmtree(own_base.root.parent / "base")
    error, hint = refused(own_base, "run")
    assert error.startswith("no base model in the folder")
    assert hint


@pytest.mark.slow
def test_a_prompt_longer_than_the_context_is_refused_before_a_question_is_written(
    typist: Typist,
) -> None:
    typist.commit(input_yml("long " * 120))
    error, hint = refused(typist, "run")
    assert re.match(r"the prompt takes 6\d\d tokens and the answer up to 12, but .* 512", error)
    assert "Shorten the prompt" in hint
