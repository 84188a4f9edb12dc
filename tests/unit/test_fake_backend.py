"""`--backend fake`: other ids, a name that says so, and nothing of it to be published."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bakery import schema
from bakery.errors import ConfigError, RepoError
from bakery.identity import BaseModelId
from bakery.records import Prompt
from bakery.repo.commits import publishing
from bakery.repo.files import block
from bakery.repo.git import Git
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Head, Plan, RecordedTarget
from bakery.repo.plan.resolve import resolve
from tests.support.recorded import git

TEXT = """\
PROMPT:
  teacher: {messages: [{role: system, content: You are Yoda.}]}
TARGET:
  name: main
  generators: [{type: GENERATOR}]
BAKE:
  name: yoda
  datasets: [{target: main, weight: 1.0}]
"""
WRITTEN_OUT = TEXT.replace("GENERATOR", "hardcoded, questions: [Who?, Why?]")
ASKED = TEXT.replace("GENERATOR", "oneshot_qs, numq: 10")

HEAD = Head("ada", "yoda", BaseModelId("tiny-1", "", "ab" * 32))
FAKE = replace(HEAD, backend="fake")
MADE_UP = RecordedTarget("old_fedcba9876543210", "fedcba9876543210", Prompt(), Prompt(), "fake")


def planned(text: str, head: Head) -> Plan:
    return resolve(schema.load(text), head)


def ids(plan: Plan) -> tuple[str, str, str]:
    (target,) = plan.targets
    assert plan.bake is not None
    return target.stim.id, target.rollout.id, plan.bake.id


def test_what_a_backend_makes_up_has_other_ids():
    assert not set(ids(planned(ASKED, HEAD))) & set(ids(planned(ASKED, FAKE)))


def test_questions_that_a_person_wrote_are_the_same_ones():
    real, fake = ids(planned(WRITTEN_OUT, HEAD)), ids(planned(WRITTEN_OUT, FAKE))
    assert real[0] == fake[0]
    assert not set(real[1:]) & set(fake[1:])


def test_a_bake_on_made_up_answers_is_called_so():
    assert planned(ASKED, FAKE).bake_name == f"fake_yoda_{ids(planned(ASKED, FAKE))[2]}"
    assert planned(ASKED, HEAD).bake_name == f"yoda_{ids(planned(ASKED, HEAD))[2]}"


def test_made_up_answers_are_not_mixed_in_unsaid():
    text = ASKED.replace("target: main", MADE_UP.name)
    text = ASKED.replace("{target: main,", f"{{target: {MADE_UP.name},")
    targets = {MADE_UP.name: MADE_UP}
    with pytest.raises(ConfigError, match="old_fedcba9876543210 are made up"):
        planned(text, replace(HEAD, targets=targets))
    made = planned(text, replace(FAKE, targets=targets)).bake_name
    assert made is not None
    assert made.startswith("fake_yoda_")


def test_earlier_answers_of_models_are_not_made_up_by_a_backend():
    real = replace(MADE_UP, backend=None)
    text = ASKED.replace("{target: main,", f"{{target: {real.name},")
    plans = [planned(text, replace(h, targets={real.name: real})) for h in (HEAD, FAKE)]
    assert plans[0].bake_name == plans[1].bake_name


def test_a_recipe_names_only_backends_that_there_are():
    assert block.part_problem("backend", "fake") is None
    assert block.part_problem("backend", "real") == "backend cannot be 'real'"


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("", ["HEAD"]),
        ("origin", ["HEAD"]),
        ("-u origin main", ["main"]),
        ("origin main:other +side", ["main", "side"]),
        ("-o ci.skip origin", ["HEAD"]),
        ("--all", ["refs/heads/main", "refs/heads/side"]),
        ("origin :side", []),
        ("origin --delete side", []),
        ("origin nothing", []),
    ],
)
def test_a_push_sends_what_its_arguments_name(workplace, typed, sent):
    git(workplace, "init", "-q")
    git(workplace, "commit", "-q", "--allow-empty", "-m", "first")
    git(workplace, "branch", "side")
    assert list(publishing.revisions(Git.find(workplace), typed.split())) == sent


def with_a_made_up_bake(repo: ModelRepo) -> None:
    """Record one, as far as anybody reads it, on a branch of its own."""
    text = repo.root.joinpath("recipe.yml").read_text("utf-8")
    bake = "0123456789abcdef"
    made_up = f"""\
    # >>> bake {bake}
    - bake_name: fake_yoda_{bake}
      model_names: [ada/yoda/fake_yoda_{bake}/12]
      parent: null
      digest: {"ab" * 32}
      input: {"cd" * 20}
      backend: fake
    # <<< bake {bake}
"""
    git(repo.root, "switch", "-q", "-c", "trial")
    repo.root.joinpath("recipe.yml").write_text(text + made_up, "utf-8")
    git(repo.root, "commit", "-qam", "bake")


def test_it_lets_no_other_target_be_answered(repo):
    with_a_made_up_bake(repo)
    text = ASKED.replace("name: main", "name: main\n  model_name: fake_yoda")
    with pytest.raises(ConfigError, match="fake_yoda_0123456789abcdef learnt made-up answers"):
        repo.plan_of(text, "input.yml")
    assert ModelRepo.find(repo.root, backend="fake").plan_of(text, "input.yml").bake is not None


def test_a_push_of_a_made_up_bake_is_refused(repo):
    with_a_made_up_bake(repo)
    with pytest.raises(RepoError, match="HEAD has fake_yoda_0123456789abcdef"):
        publishing.refuse_made_up(repo.git, ["origin"])
    publishing.refuse_made_up(repo.git, ["origin", "main"])
