"""A repository that was made before defaults had versions: it is read, asked and made again.

Its recipe names no version, so version 1 is meant: what b3be946 did where input.yml said nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Size, Tensor

from bakery.engine.models import models
from bakery.identity import file_digest
from bakery.records import Stimulus, Trajectory, read_rows, user_text
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan
from bakery.reporting import Quiet
from bakery.stages import bake
from bakery.stages.parts import TargetData
from tests.e2e.conftest import IDENTITY, Typist
from tests.support.commands import typed_here
from tests.support.version_1 import BAKES, EXPECTED, full_name, unpacked

WEIGHTS = "adapter_model.safetensors"

CLOSE = 1e-3
"""How far what a bake adds may be from what was recorded, as a part of that.

Other instructions of a processor come to 5e-6 at most. Of all settings that were tried a learning
rate of 2.1e-3 instead of 2e-3 changes least, and comes to 6e-2.
"""

WISE = full_name("wise")


@pytest.fixture
def former(workplace: Path) -> Typist:
    """The repository with its store."""
    return Typist(unpacked(workplace / "former"))


@pytest.fixture
def clone(former: Typist, workplace: Path) -> Typist:
    """A clone of it, which has no store."""
    return cloned(former, workplace / "clone")


def cloned(former: Typist, folder: Path) -> Typist:
    former.git("clone", "-q", str(former.root), str(folder))
    return Typist(folder, former.env)


def recorded(repo: ModelRepo) -> Iterator[tuple[dict[str, Any], Any]]:
    """Yield every bake as it was, and the plan that its configuration has by now."""
    bakes = repo.bakes()
    assert [bake.name for bake in bakes] == list(BAKES)
    for each in bakes:
        yield BAKES[each.name], show.plan_of(repo, each)


@pytest.mark.parametrize("place", ["former", "clone"])
def test_every_configuration_means_the_ids_that_were_recorded(
    place: str, request: pytest.FixtureRequest
) -> None:
    repo = ModelRepo.find(request.getfixturevalue(place).root)
    for then, plan in recorded(repo):
        now = {target.name: target.stim.id for target in plan.targets}
        # A share of an earlier bake's target is planned there.
        own = [target for target in then["targets"] if target["name"] in now]
        assert plan.bake_name == then["name"]
        assert now == {target["name"]: target["stim_id"] for target in own}
        assert [share.name for share in plan.bake.shares] == [t["name"] for t in then["targets"]]


def test_every_request_holds_what_was_asked_for_then(former: Typist) -> None:
    repo = ModelRepo.find(former.root)
    for then, plan in recorded(repo):
        assert json_of(plan.bake.training.as_data()) == then["training"]
        requests = [(repo.store.bake(plan.bake.id), plan.bake)]
        for target in plan.targets:
            requests.append((repo.store.stim(target.stim.id), target.stim))
            requests.append((repo.store.target(target.rollout.id), target.rollout))
        for folder, request in requests:
            asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
            assert lost(asked, json_of(asdict(request))) == []


def json_of(data: Any) -> Any:
    return json.loads(json.dumps(data))


def lost(then: Any, now: Any, at: str = "") -> list[str]:
    """Return where `now` lacks what `then` holds; what it holds besides is new, and no matter."""
    if isinstance(then, Mapping) and isinstance(now, Mapping):
        return [x for key in then for x in lost(then[key], now.get(key), f"{at}.{key}")]
    if isinstance(then, list) and isinstance(now, list) and len(then) == len(now):
        return [x for i, one in enumerate(then) for x in lost(one, now[i], f"{at}[{i}]")]
    return [] if then == now else [f"{at}: {then!r} is {now!r}"]


def test_status_shows_the_model_its_chain_and_its_card(former: Typist) -> None:
    status = json.loads(former.must("status", "--json"))
    assert status["parent"] == EXPECTED["branches"]["main"]
    assert status["chain"] == BAKES[WISE]["baked_from"]
    assert status["card"]["held_out"] == BAKES[WISE]["held_out"]
    assert status["has_weights"]
    assert status["problem"] is status["parent_problem"] is status["unrecorded"] is None
    assert status["changes"] == status["pending"] == status["warnings"] == []
    assert "baked from  tiny-1 → yoda → wise" in former.must("status")


def test_models_and_tree_name_what_was_baked(former: Typist) -> None:
    models = json.loads(former.must("models", "--json"))
    assert [row["model"] for row in models] == EXPECTED["models"]
    assert all(row["is_base"] or row["has_weights"] for row in models)
    tree = json.loads(former.must("tree", "--json"))
    assert {row["name"]: row["model"] for row in tree["branches"]} == EXPECTED["branches"]
    assert [row["name"] for row in tree["bakes"]] == list(BAKES)


@pytest.mark.parametrize("name", BAKES)
def test_a_bake_is_shown_with_its_chain_settings_and_targets(former: Typist, name: str) -> None:
    shown, then = json.loads(former.must("show", name[:-17], "--json")), BAKES[name]
    assert shown["model_names"] == then["models"]
    assert shown["chain"] == then["baked_from"]
    assert shown["digest"] == then["digest"]
    assert shown["training"] == then["training"]
    assert [target["name"] for target in shown["targets"]] == [t["name"] for t in then["targets"]]
    assert shown["model"] in former.must("show", name)


@pytest.mark.parametrize("name", BAKES)
def test_the_figures_of_a_training_are_shown(former: Typist, name: str) -> None:
    last = int(BAKES[name]["models"][0].rpartition("/")[2])
    rows = json.loads(former.must("metrics", name[:-17], "--json"))["metrics"]
    assert [row["step"] for row in rows] == list(range(1, last + 1))


def test_two_bakes_differ_in_what_was_written_and_in_nothing_else(former: Typist) -> None:
    told = json.loads(former.must("diff", "yoda", "wise", "--json"))
    assert [row["key"] for row in told["settings"]] == [
        "baked on", "r", "lora_alpha", "save_every_epochs", "yoda_target: weight"
    ]  # fmt: skip
    assert [name[:-17] for name in told["added"]] == ["wise_target", "brief_target"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["log", "--oneline"], "bake: wise (KL 0.677 → 0.136)"),
        (["target"], "pirate_target_1256e030f4b18a0c"),
        (["target", "wise_target"], "Use more wisdom and philosophical depth."),
        (["stim", "--target", "yoda_target", "--count"], "48"),
        (["rollout", "--target", "brief_target", "--count"], "36"),
        (["reproduce", "pirate", "--dry-run"], "pirate_bbb67f794473b12c/10"),
        (["check"], "input.yml is valid."),
    ],
)
def test_a_command_that_looks_works_as_ever(former: Typist, words: list[str], said: str) -> None:
    assert said in former.must(*words)
    assert former.changes() == ""


@pytest.mark.parametrize("row", EXPECTED["answers"], ids=lambda row: row["model"])
def test_a_model_answers_as_it_did(
    former: Typist, monkeypatch: pytest.MonkeyPatch, row: dict[str, Any]
) -> None:
    monkeypatch.chdir(former.root)
    questions = [word for question in row["answers"] for word in ("-m", question)]
    told = ["--system", row["system"]] if row["system"] else []
    done = typed_here("chat", row["model"], "--each", "--json", *told, *questions)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert {answer["question"]: answer["answer"] for answer in answers} == row["answers"]


def test_a_clone_takes_all_of_the_store_by_its_digests(former: Typist, clone: Typist) -> None:
    done = json.loads(clone.must("import", str(former.store), "--all", "--json"))
    assert done["missing"] == []
    assert [row["name"] for row in done["taken"] if row["kind"] == "weights"] == [
        model for bake in BAKES.values() for model in bake["models"]
    ]
    repo = ModelRepo.find(clone.root)
    for each in repo.bakes():
        for model in each.models:
            weights = repo.store.bake(each.id) / str(model.step) / WEIGHTS
            assert file_digest(weights) == each.digest_of(model.step)
        for target in each.data["targets"]:
            for folder, name in (
                (repo.store.stim(target["stim_id"]), "stimuli"),
                (repo.store.target(target["id"]), "trajectories"),
            ):
                assert file_digest(folder / f"{name}.jsonl") == target[f"{name}_digest"]
                # Written anew, of what the configuration means: sampling goes on from it.
                there = former.store / folder.relative_to(repo.store.root) / "request.json"
                asked = json.loads((folder / "request.json").read_text(encoding="utf-8"))
                assert lost(json.loads(there.read_text(encoding="utf-8")), asked) == []
    assert json.loads(clone.must("status", "--json"))["has_weights"]


def test_what_was_begun_then_is_found_in_the_store(former: Typist) -> None:
    begun = EXPECTED["begun"]
    status = json.loads(former.must("status", "--json"))
    assert {"bake": status["bake"], "targets": status["targets"]} == {
        "bake": begun["bake"], "targets": begun["targets"]
    }  # fmt: skip
    assert [[row["stage"], row["state"], row["done"]] for row in status["stages"]] == begun[
        "stages"
    ]
    told = json.loads(former.must("run", "--dry-run", "--json"))
    (target,) = told["targets"]
    assert (target["stim"]["state"], target["rollout"]["state"]) == ("complete", "complete")
    assert told["cost"]["tokens"] == 0


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Again:
    """The first bake, of which nothing but questions was written down, made again in a clone."""
    return made_again("yoda", tmp_path_factory.mktemp("again"))


@dataclass(frozen=True)
class Again:
    """A model that was made again beside the one that was recorded."""

    name: str
    code: int
    told: dict[str, Any]
    former: Path
    """The store with what was recorded."""
    made: tuple[Path, ...]
    """Where what came out lies: the clone's store, and beside it what is not the recorded one."""

    def both(self, path: str) -> tuple[Path, Path]:
        """Return a file as it came out, and as it was recorded."""
        found = [root / path for root in self.made if (root / path).exists()]
        assert found, f"{path} was not made"
        return found[0], self.former / path


def made_again(short: str, folder: Path) -> Again:
    """Reproduce a bake in a clone that has its parent and no more."""
    config = folder / "gitconfig"
    config.write_text(IDENTITY, encoding="utf-8")
    env = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1", "HF_HUB_OFFLINE": "1"}
    former = Typist(unpacked(folder / "former"), env)
    clone, name = cloned(former, folder / "clone"), full_name(short)
    for parent in BAKES[name]["baked_from"][:-1]:
        clone.must("import", str(former.store), parent)
    done = clone("reproduce", short, "--json")
    assert done.code in (0, 1), done.err
    told = json.loads(done.out)
    (bake,) = told["bakes"]
    kept = (Path(bake["kept"]),) if bake["kept"] else ()
    return Again(name, done.code, told, former.store, (*kept, clone.store))


def check_again(again: Again) -> None:
    """Compare all that does not hang on how a machine rounds."""
    (bake,) = again.told["bakes"]
    then = BAKES[again.name]
    assert bake["name"] == again.name
    assert again.code == (0 if bake["is_same"] else 1)
    assert bake["is_same"] == all(row["recorded"] == row["found"] for row in bake["results"])
    stims = {target["name"]: target["stim_id"] for target in then["targets"]}
    for name in {row["name"] for row in bake["results"] if row["stage"] == "questions"}:
        ours, theirs = again.both(f"stim/{stims[name]}/stimuli.jsonl")
        assert questions(ours) == questions(theirs)
        ours, theirs = again.both(f"target/{name[-16:]}/trajectories.jsonl")
        assert len(read_rows(ours, Trajectory)) == len(read_rows(theirs, Trajectory))
    ours, theirs = again.both(f"bake/{again.name[-16:]}/metrics.jsonl")
    assert schedule(ours) == schedule(theirs)
    for model in then["models"]:
        step = model.rpartition("/")[2]
        both = again.both(f"bake/{again.name[-16:]}/{step}/{WEIGHTS}")
        assert distance(*both, rank=then["training"]["r"]) < CLOSE


def questions(path: Path) -> list[tuple[str, str, str]]:
    rows = read_rows(path, Stimulus)
    return [(user_text(row.messages), row.generator, row.writer) for row in rows]


def schedule(metrics: Path) -> list[tuple[Any, ...]]:
    """Return what the steps of a training were: no rounding changes it."""
    lines = metrics.read_text(encoding="utf-8").splitlines()
    return [(row["step"], row["epoch"], row["learning_rate"]) for row in map(json.loads, lines)]


def distance(ours: Path, theirs: Path, *, rank: int) -> float:
    """Return how far apart is what two bakes add to the same parent, by the second's size.

    A composed adapter ends with the slice of its last bake, which is of that `rank`.
    """
    now, then = load_file(ours), load_file(theirs)
    assert shapes(now) == shapes(then)
    apart = size = 0.0
    for a in (name for name in then if "lora_A" in name):
        b = a.replace("lora_A", "lora_B")
        added = then[b][:, -rank:] @ then[a][-rank:]
        apart += float((now[b][:, -rank:] @ now[a][-rank:] - added).square().sum())
        size += float(added.square().sum())
    return math.sqrt(apart / size)


def shapes(tensors: Mapping[str, Tensor]) -> dict[str, Size]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def test_a_model_is_made_again_from_defaults_that_nobody_wrote_down(again: Again) -> None:
    check_again(again)


@pytest.mark.slow
@pytest.mark.parametrize("short", ["wise", "pirate"])
def test_the_other_bakes_are_made_again_too(
    short: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_again(made_again(short, tmp_path_factory.mktemp("again")))


@pytest.mark.slow
@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"warmup_ratio": 0.06}, id="two steps of warm-up"),
        *(
            pytest.param(setting, id=str(setting), marks=pytest.mark.slow)
            for setting in (
                {"warmup_ratio": 0.0},
                {"learning_rate": 2.1e-3},
                {"epochs": 2},
                {"global_batch": 8},
                {"lora_alpha": 16},
            )
        ),
    ],
)
def test_another_default_would_be_seen(former: Typist, tmp_path: Path, other: Any) -> None:
    repo = ModelRepo.find(former.root)
    plan = show.plan_of(repo, repo.find_bake("yoda"))
    folder = trained(repo, plan, tmp_path / "other", **other)
    then = repo.store.bake(plan.bake.id)
    (weights,) = folder.glob(f"*/{WEIGHTS}")
    (theirs,) = then.glob(f"*/{WEIGHTS}")
    assert distance(weights, theirs, rank=plan.bake.training.r) > 20 * CLOSE


def trained(repo: ModelRepo, plan: Plan, out: Path, **other: Any) -> Path:
    """Bake a plan's stored answers with other settings into a folder."""
    training = replace(plan.bake.training, **other)
    at_once = min(plan.bake.micro_batch_size, training.global_batch)
    request = replace(plan.bake, training=training, micro_batch_size=at_once)
    data = [
        TargetData(share, repo.store.stim(t.stim.id), repo.store.target(share.id))
        for share, t in zip(request.shares, plan.targets, strict=True)
    ]
    base = models.load(request.base, dtype=request.training.dtype)
    bake.run(
        request,
        data,
        out,
        base=base,
        model=base.model,
        parent=None,
        reporter=Quiet(),
    )
    return out
