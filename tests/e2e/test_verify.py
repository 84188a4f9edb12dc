"""Bake, base, another bake and half of one behind OpenAI's API: which is which."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

import bakery
from bakery.errors import BakeryError, ModelError, StageError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.server import running
from bakery.server.running import Running
from bakery.store.results import PROBES
from tests.e2e.conftest import Typist, copied


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    return copied(baked_repository, tmp_path_factory.mktemp("verified") / "demo")


@pytest.fixture(scope="module")
def server(typist: Typist) -> Iterator[Running]:
    with running.opened(ModelRepo.find(typist.root), port=0, rows=4, reporter=Quiet()) as found:
        found.start()
        yield found


@pytest.fixture(scope="module")
def repo(typist: Typist) -> bakery.Repo:
    return bakery.Repo(typist.root, progress=False)


@pytest.mark.parametrize(
    ("served", "what"),
    # Two steps of training say little: only much more of the same is another model.
    [(None, "bake"), ("base", "base"), ("second:25", "other"), ("first:-25", "other")],
)
def test_what_a_server_answers_as_is_told(repo, server, served, what):
    found = repo.verify(server.url, "second", served=served)
    assert (found.by, found.what) == ("token ids", what)
    if what == "bake":
        figures = found.figures
        assert figures.as_bake == figures.probes
        assert figures.off_bake < 1e-4
        assert not figures.is_rounded


def test_a_line_says_it_and_the_code_is_that_of_a_difference(typist, server):
    told = typist.must("verify", server.url, "second")
    assert told.startswith("this is the bake: second at http://127.0.0.1:")
    done = typist("verify", server.url, "second", "--as", "base", "--json")
    assert done.code == 1
    told = json.loads(done.out)
    assert (told["schema"], told["what"], told["served"]) == (1, "base", "base")


def test_what_cannot_be_asked_is_an_error(repo, server, typist):
    with pytest.raises(BakeryError, match="'nobody'"):
        repo.verify(server.url, "second", served="nobody")
    with pytest.raises(BakeryError, match="is not an address"):
        repo.verify("../export", "second")
    with pytest.raises(BakeryError, match="is not an address"):
        repo.verify("ftp://here", "second")
    with pytest.raises(BakeryError, match="is a base"):
        repo.verify(server.url, "base")


def test_probes_that_are_damaged_or_gone_are_named(repo, server, typist):
    (path,) = (
        place
        for place in Path(typist.root).glob(f".git/bakery/bake/*/{PROBES}")
        if place.parent.name == repo._repo.find_bake("second").id
    )
    whole = path.read_text("utf-8")
    try:
        path.write_text('{"probes": [{"question": 3}]}', encoding="utf-8")
        with pytest.raises(ModelError, match=f"{PROBES} is damaged"):
            repo.verify(server.url, "second")
        path.unlink()
        with pytest.raises(ModelError, match=f"has no {PROBES}"):
            repo.verify(server.url, "second")
    finally:
        path.write_text(whole, encoding="utf-8")


def test_a_server_that_is_not_there_is_said(repo, monkeypatch):
    monkeypatch.setattr("bakery.backends.endpoint.RETRIES", 0)
    with pytest.raises(StageError, match="cannot be reached at http://127"):
        repo.verify("127.0.0.1:9", "second")
