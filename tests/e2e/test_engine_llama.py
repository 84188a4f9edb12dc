"""What llama.cpp is handed: slices as GGUF files, and how much of each in every request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
import torch
from safetensors.torch import load_file

from bakery.app.serve import Served
from bakery.engine.models.adapter_folder import WEIGHTS, slices
from bakery.errors import ModelError
from bakery.server.handed.adapters import Adapters
from tests.e2e.conftest import Typist, copied
from tests.support.handed import asked, folder_of, opened, said
from tests.support.stand_in import stand_in


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    return copied(baked_repository, tmp_path_factory.mktemp("handed") / "demo")


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
