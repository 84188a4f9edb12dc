"""`show`, `diff`, `target` and `models`: what is known of a model, and what stays git's."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bakery.cli.app import bgit
from bakery.defaults import defaults_for
from bakery.errors import RepoError
from bakery.repo.look import show, target
from bakery.repo.look.diff import compare, prompt_text
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support import recorded
from tests.support.commands import typed


@pytest.fixture
def repo(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """A repository with two bakes on main and a third on a branch, without any weights."""
    made = recorded.made(workplace / "yoda")
    recorded.baked(made, "pirate")
    recorded.baked(made, "parrot", "You are a parrot.\nYou repeat.")
    recorded.git(made.root, "switch", "-qc", "other")
    recorded.baked(made, "owl")
    recorded.git(made.root, "switch", "-q", "main")
    monkeypatch.chdir(made.root)
    return made


def ask(*words: str) -> Result:
    done = CliRunner().invoke(bgit, list(words))
    assert done.exit_code == 0, done.output
    return done


def test_show_says_what_a_model_was_baked_from(repo):
    out = ask("show", "parrot").stdout
    model = repo.find_model("parrot").model
    assert out.startswith(f"{model}\n")
    for told in (
        "baked from  tiny-1 → pirate → parrot\n",
        "on          main, other\n",
        "weights     not in this clone: `bgit pull --weights-only`",
        "system: You are a parrot.\n",
        "You repeat.",
        "(none: always on)",
        "learning_rate",
        "nats per token",
        "first 1.500, last 0.2500, min 0.2000",
        "note: 1 answer was cut",
    ):
        assert told in out, told
    assert recorded.git(repo.root, "rev-parse", "--short=10", "HEAD") in out


def test_show_in_json_holds_the_whole_block(repo):
    data = json.loads(ask("show", "pirate", "--json").stdout)
    bake = repo.find_model("pirate")
    assert data["model"] == str(bake.model)
    assert data["targets"] == list(bake.data["targets"])
    assert data["commit"] == recorded.git(repo.root, "rev-parse", "HEAD~2")
    assert data["branches"] == ["main", "other"]
    assert data["weights"] is None
    assert not data["is_current"]


def test_show_prints_the_configuration_and_the_block_as_they_were(repo):
    assert ask("show", "--input", "pirate").stdout == recorded.configuration("pirate")
    block = ask("show", "--recipe", "pirate").stdout
    assert block in (repo.root / "recipe.yml").read_text(encoding="utf-8")
    assert ask("show", "--recipe").stdout == repo.bakes()[-1].block


def test_show_knows_a_model_of_another_branch(repo):
    data = json.loads(ask("show", "owl", "--json").stdout)
    assert data["branches"] == ["other"]
    assert [name.split("/")[2][:-17] for name in data["chain"]] == ["pirate", "parrot", "owl"]


def test_show_tells_of_the_base_model(repo):
    assert "it was not baked here" in ask("show", "base").stdout
    assert json.loads(ask("show", "--json", "tiny-1").stdout)["digest"] == recorded.BASE.digest


@pytest.mark.parametrize(
    "words",
    [
        ["show"],
        ["show", "HEAD"],
        ["show", "--stat", "HEAD~1"],
        ["show", "HEAD:recipe.yml"],
        ["show", "other"],
        ["show", "pirate-tag"],
        ["diff"],
        ["diff", "HEAD~1"],
        ["diff", "HEAD~1", "--", "input.yml"],
        ["diff", "--", "pirate"],
        ["diff", "main", "other"],
        ["diff", "--name-only", "main..other"],
        ["diff", "--cached"],
    ],
)
def test_what_names_no_model_is_shown_by_git(repo, words):
    recorded.git(repo.root, "tag", "pirate-tag")
    (repo.root / "README.md").write_text("changed\n", encoding="utf-8")
    ours = typed(*words)
    git = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    assert (ours.returncode, ours.stdout, ours.stderr) == (git.returncode, git.stdout, git.stderr)


def test_a_branch_that_is_called_like_a_bake_is_git_s(repo):
    recorded.git(repo.root, "branch", "pirate", "HEAD~2")
    assert typed("show", "pirate").stdout.startswith("commit ")
    whole = repo.find_model(str(repo.bakes()[0].model)).name
    assert typed("show", whole).stdout.startswith("ann/yoda/pirate_")


@pytest.mark.parametrize(
    "words",
    [
        ["show", "no-such-thing"],
        ["show", "pirate", "parrot", "no-such-thing"],
        ["diff", "pirate", "no-such-thing"],
    ],
)
def test_what_names_neither_a_model_nor_anything_of_git_s_is_refused(repo, words):
    done = typed(*words)
    assert (done.returncode, done.stdout) == (3, "")
    assert "there is no model 'no-such-thing'" in done.stderr


def test_outside_of_a_model_repository_show_and_diff_are_git_s(workplace):
    done = typed("show", "pirate")
    assert done.returncode == 128
    assert "not a git repository" in done.stderr


def test_a_shortened_commit_is_git_s_even_where_an_id_begins_so(repo):
    commit = recorded.git(repo.root, "rev-parse", "HEAD")
    assert show.named(repo, [commit[:8]], most=1) is None


def test_diff_shows_what_the_recipes_say_differently(repo):
    old, new = repo.bakes()
    out = ask("diff", "pirate", "parrot").stdout
    assert out.startswith(f"--- {old.model}\n+++ {new.model}\n")
    assert "- pirate_target_" in out
    assert "+ parrot_target_" in out
    assert "kl_after" in out
    assert ask("diff", "parrot").stdout == out  # of one model: with what it was baked on


def test_diff_marks_the_words_that_changed_as_git_does(repo):
    out = ask("diff", "pirate", "parrot").stdout
    prompt = "\nteacher prompt of pirate_target -> parrot_target\n"
    assert f"{prompt}system: You are [-pirate.-]{{+a parrot.+}}\n{{+You repeat.+}}\n" in out


def test_diff_in_json_takes_branches_for_their_models(repo):
    data = json.loads(ask("diff", "--json", "main", "other").stdout)
    assert "/parrot_" in data["old"]
    assert "/owl_" in data["new"]
    assert [change["key"] for change in data["settings"]] == ["baked on"]


def test_the_first_bake_has_nothing_to_be_compared_with(repo):
    done = typed("diff", "pirate")
    assert done.returncode == RepoError.exit_code
    assert "tiny-1 is the base model" in done.stderr


def test_prompts_settings_and_shares_are_compared_by_target(repo):
    (repo.root / "input.yml").write_text(
        recorded.configuration("pirate", "You are a kind pirate.").replace(
            'questions: ["Who are you?", "Why?"]', 'questions: ["Who are you?", "Why not?"]'
        )
        + "  epochs: 7\n",
        encoding="utf-8",
    )
    recorded.git(repo.root, "commit", "-qam", "A kind one")
    plan = repo.plan()
    repo.record(
        plan, recorded.stored(repo, plan), launched=repo.launch_blob(), reporter=recorded.Quiet()
    )
    old, new = repo.bakes()[0], repo.bakes()[-1]
    plans = show.plan_of(repo, old), show.plan_of(repo, new)
    found = compare(old, new, old_plan=plans[0], new_plan=plans[1])
    (prompt,) = found.prompts
    assert (prompt.target, prompt.kind) == ("pirate_target", "teacher")
    assert prompt.lines[1:] == ("-system: You are pirate.", "+system: You are a kind pirate.")
    changed = {change.key: (change.old, change.new) for change in found.settings}
    assert changed["epochs"] == (defaults_for(recorded.BASE).epochs, 7)
    assert "Why not?" in changed["pirate_target: generator 1"][1]
    assert not found.added + found.removed
    assert compare(old, old).is_same


def test_an_earlier_target_is_the_same_though_the_file_says_nothing_of_it(repo):
    (repo.root / "input.yml").write_text(
        "BAKE: {name: again, datasets: [{target: pirate_target, weight: 2.0}]}\n", encoding="utf-8"
    )
    recorded.git(repo.root, "commit", "-qam", "Again")
    plan = repo.plan()
    repo.record(
        plan, recorded.stored(repo, plan), launched=repo.launch_blob(), reporter=recorded.Quiet()
    )
    old, new = repo.bakes()[0], repo.bakes()[-1]
    plans = show.plan_of(repo, old), show.plan_of(repo, new)
    found = compare(old, new, old_plan=plans[0], new_plan=plans[1])
    changed = [change.key for change in found.settings if change.key.startswith("pirate_target")]
    assert changed == ["pirate_target: weight"]


def test_a_prompt_reads_as_who_says_what():
    prompt = {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
        ],
        "tools": [{"type": "function"}],
    }
    said = prompt_text(prompt)
    assert said.startswith("system: Be kind.\nassistant: null\n{")
    assert '"tool_calls"' in said
    assert said.endswith('tool: {\n  "type": "function"\n}')


def test_target_lists_those_of_this_branch_or_of_all(repo):
    def names(*words: str) -> list[str]:
        return [row["name"][:-17] for row in json.loads(ask("target", *words, "--json").stdout)]

    assert names() == ["pirate_target", "parrot_target"]
    assert names("ls", "--all") == ["pirate_target", "parrot_target", "owl_target"]
    assert names("list", "--limit", "1") == ["parrot_target"]
    assert ask("target", "ls", "--count").stdout == "2\n"
    text = ask("target", "ls").stdout.splitlines()
    assert text[0].split() == ["target", "questions", "answers", "here", "used", "by"]
    assert max(map(len, text)) <= 80


def test_target_shows_one_with_all_that_made_it(repo):
    data = json.loads(ask("target", "owl_target", "--json").stdout)
    assert data["generators"] == [{"type": "hardcoded", "questions": ["Who are you?", "Why?"]}]
    assert data["sampling"]["max_tokens"] == 96
    assert [name[:-17] for name, _ in data["bakes"]] == ["owl"]
    assert data["teacher"]["messages"][0]["content"] == "You are owl."
    out = ask("target", data["id"][:8]).stdout
    for told in (
        "system: You are owl.",
        "Who are you?",
        "max_tokens",
        "weight 1",
        "- target: owl_",
    ):
        assert told in out, told


def test_a_configured_target_is_listed_before_it_is_baked(repo):
    recorded.committed(repo, "crow")
    *_, last = json.loads(ask("target", "--json").stdout)
    assert last["is_configured"]
    assert last["name"] == repo.plan().targets[0].name
    assert target.find(repo, "crow_target").generators is not None


def test_an_unknown_target_is_answered_with_what_there_is(repo):
    with pytest.raises(RepoError, match="there is no target 'pirat_target'") as caught:
        target.find(repo, "pirat_target")
    assert "pirate_target_" in caught.value.hint


def test_an_input_that_cannot_be_read_hides_no_recorded_target(repo):
    (repo.root / "input.yml").write_text("TARGET: 3\n", encoding="utf-8")
    recorded.git(repo.root, "add", "input.yml")
    done = ask("target", "ls", "--json")
    assert len(json.loads(done.stdout)) == 2
    assert "note: left out what input.yml configures: " in done.stderr


def test_models_of_every_branch_and_only_the_last(repo):
    def names(*words: str) -> list[str]:
        return [row["name"] for row in json.loads(ask("models", *words, "--json").stdout)]

    pirate, parrot, owl = (repo.find_model(name).name for name in ("pirate", "parrot", "owl"))
    assert names() == ["tiny-1", pirate, parrot]
    assert names("--all") == ["tiny-1", pirate, parrot, owl]
    assert names("--all", "-n", "1") == ["tiny-1", owl]
    assert ask("models", "--count").stdout == "2\n"


def test_every_step_that_a_bake_kept_is_a_model_of_its_own(repo):
    plan = recorded.committed(repo, "crow")
    kept = {"checkpoints": [{"step": 4, "digest": "d" * 64}]}
    result = recorded.stored(repo, plan) | kept
    repo.record(plan, result, launched=repo.launch_blob(), reporter=recorded.Quiet())
    bake = repo.bakes()[-1]
    rows = json.loads(ask("models", "--json").stdout)[-2:]
    assert [(row["model"].split("/")[3], row["is_current"]) for row in rows] == [
        ("4", False),
        ("12", True),
    ]
    assert [row["digest"] for row in rows] == ["d" * 64, bake.digest]
    out = ask("show", f"ann/yoda/{bake.name}/4").stdout
    assert f"digest      sha256:{'d' * 64}" in out
    assert recorded.git(repo.root, "rev-parse", "--short=10", "HEAD") in out
    one = repo.find_model(f"ann/yoda/{bake.name}/4")
    assert [model.step for model in one.models] == [4]
    assert show.whole(repo, one) == bake


def test_a_plan_that_means_another_bake_now_is_said_so(repo, monkeypatch):
    from bakery import identity

    monkeypatch.setattr(identity, "QUESTION_TEMPLATE_VERSION", 2)
    with pytest.raises(RepoError, match="now means another bake"):
        show.plan_of(repo, repo.bakes()[0])


def test_a_squashed_history_still_tells_which_commit_has_a_bake(repo):
    recorded.git(repo.root, "switch", "-q", "--orphan", "squashed")
    recorded.git(repo.root, "checkout", "main", "--", ".")
    recorded.git(repo.root, "commit", "-qm", "All at once")
    recorded.git(repo.root, "branch", "-qD", "main", "other")
    recorded.git(repo.root, "reflog", "expire", "--expire=now", "--all")
    bake = repo.bakes()[0]
    assert show.commit_of(repo, bake) == recorded.git(repo.root, "rev-parse", "HEAD")


def test_a_bake_means_what_was_launched_where_its_data_changed_before_it_was_recorded(repo):
    (repo.root / "asked.txt").write_text("Who are you?\nWhy?\n")
    text = recorded.configuration("yoda").replace(
        'type: hardcoded\n      questions: ["Who are you?", "Why?"]',
        "type: from_dataset\n      dataset: asked.txt",
    )
    (repo.root / "input.yml").write_text(text)
    recorded.git(repo.root, "add", ".")
    recorded.git(repo.root, "commit", "-qm", "Configure yoda")
    plan, launched = repo.plan(), repo.launch_blob()
    for number in range(2):
        (repo.root / "asked.txt").write_text("Who are you?\nWhy?\nWhen?\n" * (number + 1))
        recorded.git(repo.root, "commit", "-qam", "Ask more")
    assert repo.plan().bake.id != plan.bake.id
    repo.record(plan, recorded.result_of(plan), launched=launched, reporter=Quiet())
    (bake,) = [bake for bake in repo.bakes() if bake.id == plan.bake.id]
    assert show.plan_of(repo, bake).bake.id == plan.bake.id
