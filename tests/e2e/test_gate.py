"""A writer of poor questions: the run stops before they are answered, unless that is allowed."""

from __future__ import annotations

import json

import pytest
import yaml

from tests.e2e.conftest import Typist, input_yml
from tests.support.endpoint import Endpoint, serve

GARBAGE = "\n".join(f"{i}. VB {i}" for i in range(12))


def poor(endpoint: Endpoint, typist: Typist) -> dict[str, str]:
    """Commit a configuration whose questions a garbling server writes; return its environment."""
    text = input_yml(questions=2)
    written = text[text.index("    - type: hardcoded") : text.index("BAKE:")]
    asked = "    - {type: oneshot_qs, model: my-model, numq: 10}\n"
    typist.commit(text.replace(written, written + asked))
    return {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": "none"}


@pytest.mark.slow
def test_a_run_stops_before_poor_questions_are_answered_and_goes_on_where_that_is_allowed(
    typist: Typist,
) -> None:
    with serve([GARBAGE]) as endpoint:
        env = poor(endpoint, typist)
        stopped = typist("run", **env)
        assert stopped.code == 6
        assert "error: only 0 of 12 replies of my-model are messages" in stopped.err
        assert "`bgit run --allow questions` goes on with these" in stopped.err
        assert "note: not usable (numbers or signs): VB 0" in stopped.err
        (questions,) = typist.store.glob("stim/*/stimuli.jsonl")
        before = questions.read_bytes()
        assert before.count(b"\n") == 12
        assert not list(typist.store.glob("target/*/trajectories.jsonl"))
        assert "Fewer than half of what my-model said" in typist.must("stim")
        assert typist("run", "stim", **env).code == 6
        assert typist("run", "rollout", **env).code == 6
        asked = len(endpoint.requests)
        gone_on = typist("run", "stim", "rollout", "--allow", "questions", **env)
        assert gone_on.code == 0, gone_on.err
        baked = typist("run", **env)  # what is answered needs no more leave
        assert baked.code == 0, baked.err
        assert len(endpoint.requests) == asked
    assert questions.read_bytes() == before
    (bake,) = yaml.safe_load(typist.read("recipe.yml"))["resources"]["bakes"]
    assert bake["allowed"] == ["questions"]
    again = typist("reproduce", bake["bake_name"], **env)
    assert again.code == 0, again.err


@pytest.mark.slow
def test_what_is_allowed_travels_with_a_job(typist: Typist) -> None:
    with serve([GARBAGE]) as endpoint:
        env = poor(endpoint, typist)
        assert typist("run", "--detach", "--allow", "questions", **env).code == 0
        fetched = typist("fetch", "--wait", **env)
    assert fetched.code == 0, fetched.err
    (path,) = typist.store.glob("jobs/*.json")
    assert json.loads(path.read_text())["allow"] == ["questions"]
    assert "allowed:" in typist.read("recipe.yml")


@pytest.mark.slow
def test_a_job_that_nobody_allowed_says_why_it_stopped(typist: Typist) -> None:
    with serve([GARBAGE]) as endpoint:
        env = poor(endpoint, typist)
        assert typist("run", "--detach", **env).code == 0
        fetched = typist("fetch", "--wait", **env)
    assert fetched.code != 0
    assert "only 0 of 12 replies of my-model" in fetched.out + fetched.err


@pytest.mark.parametrize("word", ["everything", ""])
def test_what_nothing_is_called_cannot_be_allowed(typist: Typist, word: str) -> None:
    refused = typist("run", "--allow", word)
    assert refused.code == 2
    assert "questions" in refused.err


@pytest.mark.slow
def test_written_questions_come_first_and_keep_the_place_of_their_generator(
    typist: Typist,
) -> None:
    with serve(["1. Who is one?\n2. Who is two?"]) as endpoint:
        text = input_yml(questions=2)
        at = text.index("    - type: hardcoded")
        typist.commit(
            f"{text[:at]}    - {{type: oneshot_qs, model: my-model, numq: 2}}\n{text[at:]}"
        )
        env = {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": "none"}
        done = typist("run", "stim", **env)
        assert done.code == 0, done.err
    (path,) = typist.store.glob("stim/*/stimuli.jsonl")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["source"] for row in rows] == [1, 1, 0, 0]
