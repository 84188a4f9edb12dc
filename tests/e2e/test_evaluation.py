"""`bgit eval` on a repository with two bakes, by its Python door: the same code in less time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import bakery
from bakery.errors import ConfigError
from bakery.evals.report import EvalReport
from bakery.store import results
from tests.e2e.conftest import Typist, copied

AXES = ("fidelity", "forgetting", "leakage")


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    return copied(baked_repository, tmp_path_factory.mktemp("eval") / "demo")


@pytest.fixture(scope="module")
def repo(typist: Typist) -> bakery.Repo:
    return bakery.Repo(typist.root, progress=False)


@pytest.fixture(scope="module")
def measured(repo: bakery.Repo) -> EvalReport:
    return repo.eval(only=AXES, limit=4)


def kept(typist: Typist) -> list[Path]:
    return sorted(typist.store.glob(f"bake/*/{results.EVALS}"))


def test_an_evaluation_is_kept_and_read_again(
    typist: Typist, repo: bakery.Repo, measured: EvalReport
) -> None:
    assert [axis.name for axis in measured.axes] == [
        "fidelity", "leakage", "forgetting",
    ]  # fmt: skip
    assert not measured.is_stored
    again = repo.eval(only=AXES, limit=4)
    assert again.is_stored
    assert again.as_data() == measured.as_data()
    (path,) = kept(typist)
    assert path.parent.name in measured.model


def test_the_chain_is_known_from_the_recipe(measured: EvalReport) -> None:
    axis = measured.axis("forgetting")
    assert axis is not None
    assert [row["of"].rpartition("_")[0] for row in axis.rows] == ["first", "first", "second"]


def test_fsck_takes_an_evaluation_for_a_part_of_the_bake(
    typist: Typist, repo: bakery.Repo, measured: EvalReport
) -> None:
    assert repo.fsck().findings == ()
    (path,) = kept(typist)
    text = path.read_text(encoding="utf-8")
    path.write_text(text[: len(text) // 2], encoding="utf-8")
    try:
        (found,) = repo.fsck().findings
        assert (found.kind, found.mend) == ("damaged", "delete it: `bgit eval` measures again")
    finally:
        path.write_text(text, encoding="utf-8")


def test_two_models_stand_side_by_side(repo: bakery.Repo, measured: EvalReport) -> None:
    found = repo.eval("second", against="first", only=("fidelity",), limit=4).as_data()
    assert found["against"]["model"] != found["model"]
    (differences,) = found["differences"].values()
    mine, its = (d["axes"][0]["figures"]["forward_kl"] for d in (found, found["against"]))
    assert differences["forward_kl"] == pytest.approx(mine["value"] - its["value"])


def test_a_folder_alone_is_measured_on_general_questions(typist: Typist) -> None:
    from bakery.app import eval as app
    from bakery.reporting import Quiet

    done = min(typist.store.glob(f"bake/*/*/{results.WEIGHTS}"))
    wanted = app.Wanted(only=("fidelity",), limit=3)
    found = app.evaluate(None, str(done.parent), wanted, reporter=Quiet())
    assert "general questions (those of the target are not here)" in found.axes[0].on
    assert not list(done.parent.glob(results.EVALS))


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [
        ("base", {}, "was not baked here"),
        ("second", {"canary": "The password is swordfish."}, "no prompt of .* holds it"),
        ("second", {"only": ("speed",)}, "nothing that is measured is called 'speed'"),
        ("second", {"neutral": "no/such/file.jsonl"}, "no such file"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_loaded(
    repo: bakery.Repo, name: str, said: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        repo.eval(name, **said)


@pytest.mark.slow
def test_the_command_prints_what_python_gives(typist: Typist, measured: EvalReport) -> None:
    only = [word for axis in AXES for word in ("--only", axis)]
    found = json.loads(typist.must("eval", *only, "--limit", "4", "--json"))
    assert found == measured.as_data()
