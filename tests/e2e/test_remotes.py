"""Weights that travel: pushed before commits, fetched by a clone that has enabled the remote."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import bakery
from bakery.app import pull, push, stored
from bakery.app.serve import Catalogue
from bakery.errors import ModelError
from bakery.identity import file_digest
from bakery.repo.files import state
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.e2e.conftest import BGIT, Typist, copied, input_yml
from tests.support.remotes import WEIGHTS, Folder


@pytest.fixture
def remote(workplace: Path) -> Folder:
    return Folder(workplace / "weights")


@pytest.fixture
def source(baked_repository: Typist, workplace: Path, remote: Folder) -> Typist:
    """A repository with two bakes, an origin and a remote of weights; nothing is pushed yet."""
    made = copied(baked_repository, workplace / "source")
    made.git("init", "-q", "--bare", "-b", "main", str(workplace / "origin"))
    made.git("remote", "add", "origin", str(workplace / "origin"))
    made.must("weights", "remote", remote.url)
    return made


@pytest.fixture
def clone(source: Typist, workplace: Path) -> Typist:
    """A clone of what was pushed, which has no weights and has enabled nothing."""
    source.must("push", "-q", "-u", "origin", "main")
    source.git("clone", "-q", str(workplace / "origin"), str(workplace / "clone"))
    return Typist(workplace / "clone", source.env)


def weights_of(typist: Typist, name: str = "second") -> Path | None:
    found = json.loads(typist.must("show", name, "--json"))["weights"]
    return None if found is None else Path(found)


def has_nothing(typist: Typist) -> bool:
    return not list(typist.store.rglob(WEIGHTS)) and not list(typist.store.glob("incoming/*"))


def test_a_remote_is_proposed_in_one_commit_and_enabled_where_it_was_typed(
    source: Typist, remote: Folder
) -> None:
    assert state.parse(source.read(".bread")).weights == remote.url
    assert source.subjects()[0] == f"weights: {remote.url}"
    assert source.changes() == ""
    assert source.git("config", "bgit.weightsremote") == remote.url
    head = source.git("rev-parse", "HEAD")
    source.must("weights", "remote", remote.url)
    assert source.git("rev-parse", "HEAD") == head
    assert json.loads(source.must("weights", "remote", "--json"))["enabled"] == remote.url
    source.must("weights", "remote", "--remove")
    assert state.parse(source.read(".bread")).weights == ""
    assert "no remote of weights" in source.must("weights", "remote")


def test_weights_are_there_before_commits_and_the_second_push_sends_nothing(
    source: Typist, remote: Folder, workplace: Path
) -> None:
    hook = workplace / "origin/hooks/pre-receive"
    hook.write_text(f"#!/bin/sh\nls {remote.root}/models/*/*.json | wc -l > {workplace}/seen\n")
    hook.chmod(0o755)
    told = source.must("push", "-u", "origin", "main")
    assert [line.split()[:2] for line in told.splitlines()[:2]] == [["sent", "weights"]] * 2
    assert (workplace / "seen").read_text().strip() == "2"
    assert remote.is_whole()
    before = remote.files()
    assert "0 bytes sent" in source.must("push")
    assert remote.files() == before
    assert source.git("rev-parse", "origin/main") == source.git("rev-parse", "main")


def test_a_clone_fetches_what_a_command_needs_once_the_remote_is_enabled(
    source: Typist, clone: Typist, remote: Folder
) -> None:
    done = clone("chat", "-m", "Who?")
    assert done.code == 5
    assert "no weights" not in done.err
    assert f".bread proposes {remote.url}" in done.err
    assert has_nothing(clone)
    clone.must("weights", "remote", remote.url)
    assert clone.changes() == ""
    refused = clone("chat", "--offline", "-m", "Who?")
    assert refused.code == 5
    assert "--offline or BGIT_OFFLINE keeps them from being fetched" in refused.err
    assert f"`bgit pull --weights-only` fetches them from {remote.url}" in refused.err
    assert clone("chat", "-m", "Who?", BGIT_OFFLINE="1").code == 5
    answered = clone("chat", "-m", "Who?")
    assert answered.code == 0, answered.err
    assert "are not here: looking for them in" in answered.err
    here, there = weights_of(clone), weights_of(source)
    assert here is not None
    assert there is not None
    assert file_digest(here / WEIGHTS) == file_digest(there / WEIGHTS)
    assert (here.parent / "probes.json").is_file()
    assert weights_of(clone, "first") is None
    assert not (clone.store / "incoming").exists()


def test_a_run_fetches_the_parent_that_it_starts_from(clone: Typist, remote: Folder) -> None:
    clone.must("weights", "remote", remote.url)
    clone.commit(input_yml("Whistle.", bake="third", questions=6), "Configure third")
    assert "`bgit run` fetches them" in clone.must("check")
    done = clone("run")
    assert done.code == 0, done.err
    assert "are not here: looking for them in" in done.err
    assert weights_of(clone, "second")
    assert "/third_" in clone.parent()


def test_a_server_fetches_what_a_request_names(
    clone: Typist, remote: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.must("weights", "remote", remote.url)
    repo, told = ModelRepo.find(clone.root), Quiet()
    catalogue = Catalogue(repo)
    monkeypatch.setattr(stored.FETCHING, "bring", None)  # a command in this process may have set it
    with pytest.raises(ModelError, match="are not in this clone's store"):
        catalogue.find("second")
    monkeypatch.setattr(stored.FETCHING, "bring", lambda repo, model: pull.bring(repo, model, told))
    folder = catalogue.find("second").folder
    assert folder is not None
    assert (folder / WEIGHTS).is_file()
    assert "looking for them in" in told.notes[0]
    for path in remote.root.rglob("*.json"):
        path.write_text("{")
    with pytest.raises(ModelError, match="is not the manifest of") as refused:
        catalogue.find("first")
    assert remote.url not in refused.value.message


def test_a_pull_brings_commits_then_weights(source: Typist, clone: Typist, remote: Folder) -> None:
    clone.must("weights", "remote", remote.url)
    assert "took       weights" in clone.must("pull")
    assert "0 bytes fetched" in clone.must("pull", "--weights-only")
    assert weights_of(clone, "first") is None
    told = json.loads(clone.must("pull", "--weights-only", "--all-weights", "--json"))
    assert [row["kind"] for row in told["taken"]] == ["weights"]
    assert weights_of(clone, "first")
    assert clone("fsck", "--weights-only").code == 0
    assert "does not have the questions" in clone("pull", "--data").err
    source.must("push", "--data")
    taken = json.loads(clone.must("pull", "--data", "--all-weights", "--json"))["taken"]
    assert sorted({row["kind"] for row in taken}) == ["answers", "questions"]
    assert clone.must("rollout", "--count") == source.must("rollout", "--count")
    assert clone("fsck", "--weights-only").code == 0


def test_a_clone_is_told_of_the_proposal(source: Typist, clone: Typist, workplace: Path) -> None:
    source.write(
        source.read(".bread").replace("weights = ", "weights = s3://models/x\n# "), ".bread"
    )
    source.git("commit", "-qam", "Propose a bucket")
    source.must("push", "--no-weights", "-q")
    done = source("clone", str(workplace / "origin"), str(workplace / "other"))
    assert done.code == 0
    assert "`bgit weights remote s3://models/x` enables it in this clone" in done.err
    other = Typist(workplace / "other", source.env)
    assert "nothing of it was opened" in other("push", "-n").err
    assert "nothing of it was opened" in other("pull").err
    assert "nothing of it was opened" in other("chat", "-m", "x").err


def test_a_hostile_proposal_is_never_opened(clone: Typist) -> None:
    text, url = clone.read(".bread"), "s3://me:hunter2@models"
    clone.write(text.replace(state.parse(text).weights, url), ".bread")
    clone.git("commit", "-qam", "Propose something else")
    done = clone("chat", "-m", "Who?")
    assert done.code == 5
    assert "that is not opened" in done.err
    assert "hunter2" not in done.err
    assert "`bgit weights remote" not in done.err
    assert clone("weights", "remote", url).code == 2
    assert clone("pull", "--weights-only").code == 3
    assert clone("push", "-n", "-q").code == 0


def test_what_git_would_not_push_brings_no_weights(
    source: Typist, clone: Typist, remote: Folder, workplace: Path
) -> None:
    clone.must("weights", "remote", remote.url)
    clone.git("commit", "-q", "--allow-empty", "-m", "First")
    clone.must("push", "-q")
    for path in remote.manifests():
        path.unlink()
    source.git("commit", "-q", "--allow-empty", "-m", "Too late")
    assert source("push", "origin", "main").code == 1
    assert remote.manifests() == []
    source.git("branch", "other", "main~1")
    done = source("push", "-n", "origin", "other")
    assert done.code == 0
    assert "would send weights" in done.out
    assert remote.manifests() == []
    source.must("push", "--no-weights", "-q", "origin", "other")
    assert remote.manifests() == []
    source.must("push", "--weights-only", "origin", "other:new")
    assert len(remote.manifests()) == 2
    assert "new" not in source.git("ls-remote", "--heads", "origin")


def test_weights_that_nobody_has_are_named_and_the_push_goes_on(
    source: Typist, remote: Folder
) -> None:
    path = weights_of(source, "first")
    assert path is not None
    (path / WEIGHTS).unlink()
    done = source("push", "-u", "origin", "main")
    assert done.code == 0
    assert "neither this clone nor" in done.err
    assert "/first_" in done.err
    assert len(remote.manifests()) == 1
    assert source.git("rev-parse", "origin/main") == source.git("rev-parse", "main")


def test_damaged_weights_are_not_sent(source: Typist, remote: Folder) -> None:
    path = weights_of(source, "first")
    assert path is not None
    data = bytearray((path / WEIGHTS).read_bytes())
    data[-1] ^= 1
    (path / WEIGHTS).write_bytes(data)
    done = source("push", "-u", "origin", "main")
    assert done.code == 5
    assert "are not the recorded ones" in done.err
    assert not remote.root.exists()


def test_a_remote_that_cannot_be_written_is_told(source: Typist, remote: Folder) -> None:
    remote.root.write_text("a file")
    done = source("push", "-u", "origin", "main")
    assert done.code == 3
    assert f"the remote of weights {remote.url} cannot be written to" in done.err
    assert "--no-weights" in done.err


def test_two_pushers_at_once_lose_nothing(source: Typist, remote: Folder, workplace: Path) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **source.env}
    other = copied(source, workplace / "other")
    words = [BGIT, "push", "--weights-only", "--data"]
    begun = [subprocess.Popen(words, cwd=one.root, env=env) for one in (source, other)]
    assert [one.wait() for one in begun] == [0, 0]
    assert remote.is_whole()
    assert len(remote.manifests()) == 2
    assert "0 bytes sent" in source.must("push", "--weights-only", "--data")
    assert json.loads(source.must("fsck", "--remote", "--deep", "--json"))["is_sound"]


def test_many_pushes_in_the_same_moment_lose_nothing(source: Typist, workplace: Path) -> None:
    repo = ModelRepo.find(source.root)
    for number in range(5):
        remote = Folder(workplace / f"weights-{number}")
        source.git("config", "bgit.weightsremote", remote.url)
        together = threading.Barrier(4)

        def one(together: threading.Barrier = together) -> int:
            together.wait()
            return push.push(repo, repo.bakes(), data=True, reporter=Quiet()).bytes

        with ThreadPoolExecutor(4) as pool:
            sent = [pool.submit(one) for _ in range(4)]
        assert sum(done.result() for done in sent) > 0
        assert remote.is_whole()
        assert push.push(repo, repo.bakes(), data=True, reporter=Quiet()).bytes == 0


def test_python_pushes_and_pulls(source: Typist, clone: Typist, remote: Folder) -> None:
    repo = bakery.Repo(clone.root, progress=False)
    assert not repo.weights_remote().enabled
    assert repo.push().sent == ()
    assert repo.weights_remote(remote.url).enabled == remote.url
    assert [one.kind for one in repo.pull(everything=True).taken] == ["weights"] * 2
    assert repo.push().bytes == 0
    assert repo.fsck_remote(deep=True).is_sound
    assert repo.gc_remote(grace_days=0).removed == ()
