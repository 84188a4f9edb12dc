"""Who writes and who answers, typed as users type it: endpoints, earlier bakes, files."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import BGIT, Typist
from tests.support.endpoint import serve
from tests.support.models import make_model, qwen3_config

INPUT = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "SHOUT!"
TARGET:
  name: asked
  max_tokens: 8
  {more}
  generators:
    - {generator}
"""
QUESTIONS = '{type: hardcoded, questions: ["Who?", "What?", "Why?"]}'
SECRET = "quite-secret-key"


def configure(typist: Typist, more: str = "", generator: str = QUESTIONS) -> None:
    typist.write(INPUT.format(more=more, generator=generator))
    typist.git("add", ".")


def answers(typist: Typist) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(typist.must("rollout", "--json"))["answers"]
    return found


def answered(typist: Typist) -> int:
    return sum(p.read_bytes().count(b"\n") for p in typist.store.rglob("trajectories.jsonl"))


def test_an_endpoint_writes_and_answers(typist: Typist) -> None:
    generator = "{type: oneshot_qs, model: writer, numq: 2}"
    configure(typist, "model_name: answerer\n  max_concurrency: 2", generator)
    with serve(["1. One?\n2. Two?", "AYE", "NAY"]) as endpoint:
        env = {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": SECRET}
        done = typist("run", "stim", "rollout", **env)
    assert done.code == 0, done.err
    assert [request["model"] for request in endpoint.requests] == ["writer", *["answerer"] * 2]
    assert {row["model"] for row in answers(typist)} == {"answerer"}
    assert {row["text"] for row in answers(typist)} == {"AYE", "NAY"}
    assert "note: answerer answered at the server at OPENAI_BASE_URL, not the parent" in done.err
    kept = [p.read_bytes() for p in typist.store.rglob("*") if p.is_file()]
    assert SECRET.encode() not in b"".join(kept)
    assert SECRET not in done.out + done.err


@pytest.mark.slow
def test_a_refused_key_ends_the_run_and_what_came_is_kept(typist: Typist) -> None:
    configure(typist, "model_name: answerer\n  max_concurrency: 1")
    with serve(["AYE"], statuses=[200, 401]) as endpoint:
        env = {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": SECRET}
        done = typist("run", "stim", "rollout", **env)
        assert done.code == 4
        assert "invalid x-api-key (HTTP 401)" in done.err
        assert "hint: Check OPENAI_API_KEY in the environment." in done.err
        assert SECRET not in done.out + done.err
        assert typist.must("rollout", "--count") == "1\n"
        assert typist("run", "rollout", **env).code == 0
    assert len(endpoint.requests) == 4


@pytest.mark.slow
# Windows has no signal that interrupts one process as Ctrl-C does.
@pytest.mark.skipif(os.name != "posix", reason="sends a signal")
def test_ctrl_c_ends_at_once_and_the_next_run_asks_only_for_the_rest(typist: Typist) -> None:
    configure(typist, "model_name: answerer\n  max_concurrency: 1")
    with serve(["AYE"], silent_after=2) as endpoint:
        env = {**os.environ, **typist.env, "OPENAI_BASE_URL": endpoint.url}
        command = [BGIT, "run", "stim", "rollout"]
        running = subprocess.Popen(
            command, cwd=typist.root, env=env, stderr=subprocess.PIPE, text=True
        )
        while running.poll() is None and answered(typist) < 2:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=15)
    assert running.returncode == 130
    assert "stopped; " in said
    assert typist.must("rollout", "--count") == "2\n"
    with serve(["AYE"]) as endpoint:
        assert typist("run", "rollout", OPENAI_BASE_URL=endpoint.url).code == 0
    assert len(endpoint.requests) == 1


def test_a_name_that_nobody_serves_is_refused_and_nothing_else_answers(typist: Typist) -> None:
    configure(typist, "model_name: frist")
    done = typist("run", "stim", "rollout")
    assert done.code == 2
    assert "error: frist cannot answer: no OPENAI_BASE_URL is set for it" in done.err
    assert typist.must("stim", "--count") == "0\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model"), [("base", r"/.*/base"), ("first", r"ann/demo/first_.*/6")]
)
def test_the_base_or_an_earlier_bake_answers_where_it_is_named(
    baked: Typist, name: str, model: str
) -> None:
    configure(baked, f"model_name: {name}")
    baked.must("run", "stim", "rollout")
    (found,) = {row["model"] for row in answers(baked)}
    assert re.fullmatch(model, found)


@pytest.mark.slow
def test_a_folder_with_the_same_tokens_answers_and_another_does_not(typist: Typist) -> None:
    folder = typist.root.parent / "other"
    make_model(folder, seed=5)
    configure(typist, f"model_name: {folder}")
    done = typist("run", "stim", "rollout")
    assert re.search(rf"note: {folder} answered, not the parent: digest \w+", done.err)
    assert {row["model"] for row in answers(typist)} == {str(folder)}
    other = make_model(typist.root.parent / "apart", qwen3_config(vocab_size=300))
    add_token(other)
    configure(typist, f"model_name: {other}")
    done = typist("run", "stim", "rollout")
    assert done.code == 5
    assert "does not share the tokens of" in done.err


def add_token(folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<|more|>"], special_tokens=True)
    tokenizer.save_pretrained(folder)


@pytest.mark.slow
def test_answers_of_a_folder_that_holds_another_model_now_are_not_taken(typist: Typist) -> None:
    folder = typist.root.parent / "answering"
    make_model(folder, qwen3_config(), seed=7)
    configure(typist, f"model_name: {folder}")
    typist.must("run", "stim", "rollout")
    typist.must("run", "rollout")  # the same model: nothing to do
    make_model(folder, qwen3_config(), seed=8)
    refused = typist("run", "rollout")
    assert refused.code == 5
    assert f"{folder} has changed since it answered" in refused.err
    (at,) = re.findall(r"hint: Delete (\S+) to have it answer anew", refused.err)
    shutil.rmtree(at)
    assert "rollout" in typist.must("run", "rollout")


def test_questions_come_from_the_file_that_is_added(typist: Typist) -> None:
    typist.write("question\nadded?\n", "q.csv")
    configure(typist, generator="{type: from_dataset, dataset: q.csv}")
    typist.write("question\nnot added?\n", "q.csv")
    typist.must("run", "stim")
    assert typist.must("stim").endswith("   1  added?\n")
    typist.git("add", "q.csv")
    assert typist.must("stim", "--count") == "0\n"


def test_another_target_of_the_file_is_shown_by_its_name(typist: Typist) -> None:
    typist.write(
        "PROMPT:\n  teacher: {messages: [{role: system, content: SHOUT!}]}\nTARGET:\n"
        "  - {name: one, generators: [{type: hardcoded, questions: [a?]}]}\n"
        "  - {name: two, generators: [{type: hardcoded, questions: [b?, c?]}]}\n"
    )
    typist.git("add", ".")
    typist.must("run", "stim")
    first = typist("stim", "--count")
    assert (first.out, first.err) == ("1\n", "note: these are of one; --target shows two\n")
    assert typist.must("stim", "--target", "two", "--count") == "2\n"
    out = typist.root / "rows.jsonl"
    done = typist("stim", "--target", "two", "--out", str(out))
    assert (done.out, done.err) == ("", f"note: 2 of 2 written to {out}\n")
    assert len(out.read_text().splitlines()) == 2
