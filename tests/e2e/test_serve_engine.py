"""Requests handed over to an engine of others: one that stands in for it, as a real process."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from safetensors.torch import load_file

from bakery.engine.models.adapter_folder import WEIGHTS, slices
from bakery.server.handed.opening import Handed
from tests.e2e.conftest import Typist, copied
from tests.support.handed import QUESTION, asked, folder_of, opened, said, until
from tests.support.stand_in import StandIn, stand_in


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
