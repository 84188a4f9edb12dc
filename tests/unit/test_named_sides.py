"""`NAME[@prompted][:STRENGTH]`: one way to name a model, in every command; the whole name first."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bakery.app import chat, eval, meaning, test
from bakery.cli.app import bgit
from bakery.errors import ConfigError, ModelError, RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.strengths import Side, side_of
from tests.support import recorded


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("yoda", None),
        ("ann/yoda/pirate_0123456789abcdef/50", None),
        ("yoda:0.5", Side("yoda", False, 0.5)),
        ("yoda:-1", Side("yoda", False, -1.0)),
        ("yoda@prompted", Side("yoda", True, None)),
        ("yoda@prompted:.25", Side("yoda", True, 0.25)),
        ("HEAD~1:2", Side("HEAD~1", False, 2.0)),
        ("a:b:1", Side("a:b", False, 1.0)),
        ("HEAD:input.yml", None),
        ("yoda:nan", None),
        ("yoda@other", None),
        (":0.5", None),
    ],
)
def test_what_a_name_says_beside_the_model(text, said):
    assert side_of(text) == said
    if said is not None and said.strength != 0.25:
        assert said.name + said.suffix == text


@pytest.fixture
def bake(workplace: Path) -> Path:
    """A bake's folder that no repository knows, with what it was taught beside it."""
    folder = workplace / "store" / "50"
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "tiny"}))
    (folder / "adapter_model.safetensors").write_bytes(b"")
    teacher = {"messages": [{"role": "system", "content": "Be Zed."}]}
    target = {"name": "zed", "teacher": teacher, "student": {"messages": []}}
    base = {"name": "tiny-1", "revision": "", "digest": "ab" * 32}
    (folder.parent / "bake.json").write_text(json.dumps({"targets": [target], "base": base}))
    return folder


@pytest.mark.parametrize(
    ("suffix", "is_prompted", "strength"),
    [("", False, 1.0), (":0.5", False, 0.5), ("@prompted", True, 0.0), ("@prompted:1", True, 1.0)],
)
def test_a_prompted_model_is_the_parent_unless_it_says_a_strength(
    bake, suffix, is_prompted, strength
):
    meant = meaning.find(None, f"{bake}{suffix}")
    assert (meant.folder, meant.name) == (bake, f"{bake}{suffix}")
    assert (meant.is_prompted, meant.strength) == (is_prompted, strength)


def test_the_whole_string_is_tried_as_a_name_first(bake):
    other = bake.rename(bake.with_name("50:0.5"))
    meant = meaning.find(None, str(other))
    assert (meant.folder, meant.strength) == (other, 1.0)


def test_who_carries_no_bake_has_neither_strength_nor_prompt(bake):
    for name in ("tiny:0.5", "tiny@prompted"):
        with pytest.raises(ConfigError, match="carries no bake"):
            meaning.find(None, name)
    (bake.parent / "bake.json").unlink()
    with pytest.raises(ConfigError, match="was not baked here, so there is no prompt"):
        meaning.find(None, f"{bake}@prompted")
    with pytest.raises(ModelError, match="no base model in the folder"):
        meaning.find(None, "./nowhere:0.5")


@pytest.mark.parametrize(
    ("suffix", "told", "hint"),
    [
        ("@prompted:0.5:1", "says two strengths, 0.5 and 1", "50@prompted:0.5 or "),
        (":0.5:1", "says two strengths, 0.5 and 1", "50:0.5 or "),
        (":1:2:3", "says two strengths, 1 and 2", "50:1 or "),
        (":0.5@prompted", "says @prompted behind a strength", "50@prompted:0.5 says"),
        ("@prompted@prompted", "says @prompted twice", "50@prompted says"),
    ],
)
def test_a_name_that_says_two_things_is_told_so(bake, suffix, told, hint):
    with pytest.raises(ConfigError, match=f"50.* {told}") as refused:
        meaning.find(None, f"{bake}{suffix}")
    assert hint in str(refused.value.hint)


def test_a_second_side_of_what_is_nowhere_is_not_what_is_wrong():
    with pytest.raises(ModelError, match="no base model in the folder"):
        meaning.find(None, "./nowhere@prompted:0.5:1")


@pytest.mark.parametrize("digits", ["9" * 400, "9" * 60, "-10001"])
def test_a_strength_beyond_all_use_is_refused_before_anything_is_loaded(bake, digits):
    with pytest.raises(ConfigError, match="strength is a number"):
        meaning.find(None, f"{bake}:{digits}")
    with pytest.raises(ConfigError, match="strength is a number"):
        chat.opened(meaning.find(None, str(bake)), strength=float(digits), reporter=Quiet())
    done = CliRunner().invoke(bgit, ["chat", str(bake), "--strength", digits, "-m", "Who?"])
    assert (done.exit_code, "loading" in done.output) == (2, False)


def test_who_has_no_bakes_to_leave_out_is_not_loaded(bake):
    for name, told in [("tiny", "carries no bake"), (str(bake), "whose its ranks are")]:
        done = CliRunner().invoke(bgit, ["blame", "--weights", "Who?", name])
        assert (done.exit_code, told in done.output, "loading" in done.output) == (2, True, False)


def test_two_strengths_contradict_each_other(bake):
    meant = meaning.find(None, f"{bake}:0.5")
    with pytest.raises(ConfigError, match="names one strength"):
        chat.opened(meant, strength=0.7, reporter=Quiet())


def test_where_the_prompted_model_is_a_side_it_is_no_model(bake):
    Path("tests.yml").write_text("tests: [{question: Who?, contains: Zed}]")
    with pytest.raises(ConfigError, match="test has the prompted model answer beside"):
        test.test(None, f"{bake}@prompted", file=Path("tests.yml"), reporter=Quiet())
    with pytest.raises(ConfigError, match="eval has the prompted model answer beside"):
        eval.evaluate(None, f"{bake}@prompted", eval.Wanted(), reporter=Quiet())
    done = CliRunner().invoke(bgit, ["chat", f"{bake}@prompted", "--compare", "-m", "Who?"])
    assert (done.exit_code, "--compare has the prompted" in str(done.output)) == (2, True)
    done = CliRunner().invoke(bgit, ["blame", "--weights", "Who?", f"{bake}:0.5"])
    assert (done.exit_code, "looks at a model as it was baked" in str(done.output)) == (2, True)


@pytest.mark.parametrize(
    "words", [("show",), ("metrics",), ("adopt",), ("download",), ("diff", "base"), ("report",)]
)
def test_what_was_recorded_has_no_strength(words, workplace, monkeypatch):
    made = recorded.made(workplace / "yoda")
    monkeypatch.chdir(made.root)
    recorded.baked(made, "pirate")
    done = CliRunner().invoke(bgit, [*words, "pirate:0.5"])
    assert done.exit_code in (2, 3)
    assert "is pirate as it may answer, and here what was recorded is meant" in done.output
    with pytest.raises(RepoError, match="there is no model 'pirat'"):
        ModelRepo.find().find_model("pirat:0.5")
