"""Which models a server has, by the names that requests call them by."""

from __future__ import annotations

import re

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from bakery.app.serve import Catalogue
from bakery.errors import ConfigError, ModelError, RepoError
from bakery.reporting import Quiet
from bakery.server import names
from bakery.server.errors import RequestError
from tests.support import recorded
from tests.support.recorded import git


@pytest.fixture
def baked(repo):
    """A repository with one bake, of which the weights are not here."""
    recorded.baked(repo, "pirate")
    return repo


NO_NAMES = (
    "", ".", "./out", "/etc/passwd", "~/x", "../up", "a/../b", "-x", "a b", "a\nb", "a\0b",
    ":/text", "HEAD^{/text}", "main@{1}", "x" * 400,
)  # fmt: skip


def test_no_name_of_a_request_leads_to_a_file_or_into_git(baked):
    catalogue = Catalogue(baked)
    for name in NO_NAMES:
        with pytest.raises(RepoError, match="is no name of a model"):
            catalogue.find(name)


def test_a_folder_is_no_model_over_http(baked, monkeypatch):
    monkeypatch.chdir(baked.root)
    folder = baked.root / "mine"
    folder.mkdir()
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "tiny"}')
    (folder / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(RepoError, match="there is no model 'mine'"):
        Catalogue(baked).find("mine")


def test_an_error_tells_no_path_and_no_command(baked):
    for name in ("pirate", "pirate:0.5", "pirate@prompted"):
        with pytest.raises(ModelError, match="are not in this clone's store") as caught:
            Catalogue(baked).find(name)
        assert str(baked.root) not in caught.value.message
        assert caught.value.hint is None


def test_names_are_those_of_now(baked):
    catalogue = Catalogue(baked)
    assert catalogue.find("base").name == "tiny-1"
    with pytest.raises(RepoError, match="there is no model 'later'"):
        catalogue.find("later")
    git(baked.root, "branch", "later", "HEAD~1")
    assert catalogue.find("later").name == "tiny-1"
    model = baked.state().parent
    baked.revert(["pirate"], Quiet())
    with pytest.raises(RepoError, match="was taken back, by commit"):
        catalogue.find(str(model))
    assert catalogue.find("parent").name == "tiny-1"


def test_what_nothing_was_baked_into_has_no_strength_and_no_prompt(repo):
    catalogue = Catalogue(repo)
    for name in ("base:0.5", "base@prompted", "parent:2"):
        what = "prompt" if "@" in name else "strength"
        with pytest.raises(ConfigError, match=f"carries no bake, so there is no {what}"):
            catalogue.find(name)


def test_listed_is_what_can_answer(baked):
    names = {one.name for one in Catalogue(baked).listed()}
    assert names == {"tiny-1", "base"}  # the weights of the bake are not here
    model = baked.state().parent
    folder = baked.store.bake(model.bake_id) / str(model.step)
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"")
    found = {one.name: one.model for one in Catalogue(baked).listed()}
    assert {n for n, m in found.items() if m == str(model)} == {
        str(model), "pirate", "parent", baked.git.branch()
    }  # fmt: skip
    assert found[str(model)] == str(model)


def models_of(catalogue):
    """Return the status of GET /v1/models, and its body."""
    app = Starlette(routes=names.routes(catalogue), exception_handlers={RequestError: refused})
    with TestClient(app) as client:
        found = client.get("/v1/models")
        return found.status_code, found.json()


async def refused(request, error):
    return error.answer()


def test_a_moment_that_is_none_keeps_no_model_from_the_list(baked):
    model = baked.state().parent
    folder = baked.store.bake(model.bake_id) / str(model.step)
    folder.mkdir()
    (folder / "adapter_model.safetensors").write_bytes(b"")
    file = baked.root / "recipe.yml"
    text = re.sub("finished: .*", "finished: yesterday", file.read_text("utf-8"))
    assert "yesterday" in text
    file.write_text(text, "utf-8")
    git(baked.root, "commit", "-qam", "Edit")
    status, said = models_of(Catalogue(baked))
    assert status == 200
    assert {one["created"] for one in said["data"] if one["root"] == str(model)} == {0}


def test_a_repository_that_cannot_be_read_is_told_where_models_are_listed(baked):
    catalogue = Catalogue(baked)
    (baked.root / ".bread").write_text("", "utf-8")
    status, said = models_of(catalogue)
    assert (status, said["error"]["message"][:29]) == (500, ".bread cannot be read: REPO i")
    (baked.root / ".bread").unlink()
    status, said = models_of(catalogue)
    assert (status, str(baked.root) in said["error"]["message"]) == (500, False)
    baked.root.rename(baked.root.with_name("moved"))
    status, said = models_of(catalogue)
    assert (status, str(baked.root) in said["error"]["message"]) == (500, False)


def test_a_branch_whose_name_is_no_text_is_not_listed(baked):
    with (baked.git.common_dir / "packed-refs").open("ab") as file:
        file.write(baked.git.head().encode() + b" refs/heads/\xff\n")
    status, said = models_of(Catalogue(baked))
    assert status == 200
    assert {one["id"] for one in said["data"]} == {"tiny-1", "base"}
