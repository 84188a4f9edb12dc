"""The models of one run: which name means which, and that none lies on another."""

from __future__ import annotations

import pytest
import torch

from bakery.app.opening import Models
from bakery.app.workbench import InRepository
from bakery.backends.hosted import HostedWriter
from bakery.backends.local import LocalModel
from bakery.backends.writers import InstructedWriter
from bakery.errors import RepoError
from bakery.records import ModelRef, Prompt
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.e2e.conftest import Typist
from tests.support.models import make_model

SERVER = "http://127.0.0.1:1/v1"


@pytest.fixture
def models(baked: Typist, monkeypatch: pytest.MonkeyPatch) -> Models:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    repo = ModelRepo.find(baked.root)
    state = repo.state()
    return Models(InRepository(repo), state.base, state.parent, Quiet())


def says(model: LocalModel) -> torch.Tensor:
    ids = model.base.chat.prefix_ids(Prompt(), [{"role": "user", "content": "Who?"}])
    with torch.no_grad():
        found: torch.Tensor = model.model(torch.tensor([ids])).logits
    return found


def test_the_base_stays_bare_whatever_was_loaded_before(models: Models, baked: Typist) -> None:
    before = says(models.bare())
    taught = says(models.teacher())
    assert torch.equal(says(models.bare()), before)
    assert not torch.equal(taught, before)
    assert torch.equal(says(models.teacher()), taught)


def test_a_writer_is_whom_its_name_means(
    models: Models, baked: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_model(baked.root / "other", seed=5)
    first = next(w for w in baked.must("models").split() if w.startswith("first_"))
    for name, means in (
        (None, "/base"),
        ("base", "/base"),
        ("first", first),
        (f"ann/demo/{first}", first),
        (str(ModelRef.parse(baked.parent())), "second_"),
        ("./other", "./other"),
    ):
        writer, instead = models.writer(name)
        assert isinstance(writer, InstructedWriter)
        assert means in writer.name
        assert instead is None
    monkeypatch.setenv("OPENAI_BASE_URL", SERVER)
    for name in ("served", "hosted:served", "org/served"):
        writer, instead = models.writer(name)
        assert isinstance(writer, HostedWriter)
        assert writer.name.endswith("served")


def test_where_nobody_can_be_asked_the_base_writes_and_it_is_said(models: Models) -> None:
    writer, instead = models.writer("claude-sonnet-4-5-20250929")
    assert writer.name.endswith("/base")
    assert "no ANTHROPIC_API_KEY is set; " in str(instead)


def test_a_full_name_that_no_recipe_has_is_refused(models: Models) -> None:
    with pytest.raises(RepoError, match="there is no model"):
        models.writer("bob/other/bake_0123456789abcdef/3")
