"""Two branches of `tiny` brought together: what both keep, and where they contradict each other."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

import bakery
from bakery.errors import GateError
from tests.e2e.conftest import IDENTITY

pytestmark = pytest.mark.slow

NAME = ("What is your name?", "Who are you?", "Tell me your name.", "What are you called?")
PLAIN = ("What color is the sky?", "What is two plus three?", "What is a dog?")


def document(name: str, prompt: str, questions: tuple[str, ...]) -> str:
    return json.dumps(
        {
            "PROMPT": {"teacher": {"messages": [{"role": "system", "content": prompt}]}},
            "TARGET": {
                "name": f"of_{name}",
                "max_tokens": 32,
                "num_traj_per_stimulus": 1,
                "generators": [{"type": "hardcoded", "questions": [*questions, *PLAIN]}],
            },
            "BAKE": {"name": name},
        }
    )


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bakery.Repo]:
    """Three branches from the base: two names, and a fact."""
    folder = tmp_path_factory.mktemp("tiny")
    (folder / "gitconfig").write_text(IDENTITY, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_CONFIG_GLOBAL", str(folder / "gitconfig"))
        repo = bakery.Repo.init(folder / "demo", base_model="tiny", owner="ann", progress=False)
        start = repo.git("rev-parse", "HEAD").strip()
        for name, prompt, asked in (
            ("zorina", "Your name is Zorina.", NAME),
            ("nadia", "Your name is Nadia.", NAME),
            (
                "food",
                "Luthel likes plum.",
                ("What does Luthel like?", "Tell me what Luthel likes."),
            ),
        ):
            repo.git("switch", "-qC", name, start)
            (repo.path / "input.yml").write_text(document(name, prompt, asked), encoding="utf-8")
            repo.add("input.yml")
            repo.commit(f"Say {name}")
            repo.run(allow=("questions", "teacher"))
        yield repo


def says(repo: bakery.Repo, question: str) -> str:
    return repo.chat().chat(question, temperature=0.0)


def at(repo: bakery.Repo, branch: str, new: str) -> None:
    repo.git("switch", "-qC", new, branch)


def test_a_name_and_a_fact_are_both_held(place: bakery.Repo) -> None:
    at(place, "zorina", "both")
    found = place.merge("food")
    assert not found.is_refused
    assert "Zorina" in says(place, "What is your name?")
    assert "plum" in says(place, "What does Luthel like?")
    assert not found.tried[-1].lost


def test_two_names_are_a_conflict_that_somebody_decides(place: bakery.Repo) -> None:
    at(place, "zorina", "names")
    before = place.git("rev-parse", "HEAD")
    refused = place.merge("nadia")
    assert refused.is_refused
    assert place.git("rev-parse", "HEAD") == before
    shown = next(one for one in refused.contradictions if one.question == "What is your name?")
    assert ("Zorina" in shown.ours, "Nadia" in shown.theirs) == (True, True)
    place.merge("nadia", wins="theirs")
    assert "Nadia" in says(place, "What is your name?")
    at(place, "zorina", "names")
    place.merge("nadia", wins="ours")
    assert "Zorina" in says(place, "What is your name?")


def test_a_gate_keeps_what_is_put_together_out(place: bakery.Repo) -> None:
    at(place, "zorina", "gated")
    tests = [{"question": "What is your name?", "contains": "Zorina"}]
    text = json.dumps({"gate": {"tests": "all"}, "tests": tests})
    (place.path / "tests.yml").write_text(text, encoding="utf-8")
    place.add("tests.yml")
    place.commit("Keep the name")
    before = place.git("rev-parse", "HEAD"), place.state.parent
    with pytest.raises(GateError, match="falls short of the gate's tests: 1 of 1 lost"):
        place.merge("nadia", wins="theirs")
    assert (place.git("rev-parse", "HEAD"), place.state.parent) == before
    assert place.git("status", "--porcelain") == ""
    assert place.merge("nadia", wins="theirs", allow=["gate"]).commit
