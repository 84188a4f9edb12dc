"""An engine of others that answers what no engine should, and clients that hang up on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from bakery.server.handed.opening import Handed
from tests.e2e.conftest import Typist, copied
from tests.support.handed import opened
from tests.support.stand_in import StandIn, stand_in

JSON, STREAM = "application/json", "text/event-stream"
LOAD_S = 0.5


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    return copied(baked_repository, tmp_path_factory.mktemp("lying") / "demo")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> StandIn:
    return stand_in(tmp_path_factory.mktemp("engine"), load_s=LOAD_S)


@pytest.fixture(scope="module")
def server(typist: Typist, engine: StandIn) -> Iterator[Handed]:
    with opened(typist, engine, "second") as found:
        found.start()
        yield found


def asked(server: Handed, said: str, model: str = "second", **how: Any) -> httpx2.Response:
    body = {"model": model, "messages": [{"role": "user", "content": said}]}
    url = f"{server.url}/chat/completions"
    return httpx2.post(url, json=body, **{"timeout": 60, "trust_env": False, **how})


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (200, JSON, "5"),
        (200, JSON, '["model"]'),
        (200, JSON, ""),
        (200, JSON, '{"model": ' + "[" * 5000 + "]" * 5000 + "}"),
        (200, JSON, '{"model": ' + "9" * 5000 + "}"),
        (200, JSON, '{"model": "x", "text": "\\ud83d"}'),
        (200, "text/html", "<html>"),
        (204, JSON, ""),
        (304, JSON, ""),
        (308, JSON, '{"error": {"message": "elsewhere"}}'),
        (500, JSON, '{"error": {"message": "a path of this machine"}}'),
    ],
)
def test_what_cannot_be_an_answer_is_the_engine_s_mistake(server, status, kind, said):
    answer = asked(server, f"say {status}\n{kind}\n{said}")
    assert answer.status_code == 502
    assert answer.json()["error"]["message"].startswith("vLLM ")
    assert "path" not in answer.text


@pytest.mark.parametrize(
    "piece",
    [
        '{"model": "x", "text": "\\ud83d"}',
        '{"model": ' + "[" * 5000 + "]" * 5000 + "}",
        "5",
        "<html>",
    ],
)
def test_a_stream_goes_on_behind_a_piece_that_cannot_be_read(server, typist, piece):
    answer = asked(server, f'say 200\n{STREAM}\ndata: {piece}\n\ndata: {{"model": "x"}}\n\n')
    assert answer.status_code == 200
    assert f'data: {{"model": "{typist.parent()}"}}' in answer.text


def test_the_type_of_an_answer_is_read_in_any_case(server, typist):
    answer = asked(server, 'say 200\nText/Event-Stream\ndata: {"model": "x"}\n\n')
    assert answer.text == f'data: {{"model": "{typist.parent()}"}}\n\n'


def test_who_hangs_up_while_a_model_is_loaded_takes_it_from_nobody(server, engine):
    with pytest.raises(httpx2.ReadTimeout):
        asked(server, "x", "first", timeout=LOAD_S / 2)
    assert asked(server, "x", "first").status_code == 200
    assert len(engine.bodies("/v1/load_lora_adapter")) == 1


def test_a_host_says_nothing_of_what_the_engine_is_asked(server, engine):
    count = len(engine.told("path"))
    answer = asked(server, "x", headers={"Host": "127.0.0.1:8000/v1/load_lora_adapter?"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "host_not_allowed")
    assert len(engine.told("path")) == count
