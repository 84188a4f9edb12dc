"""`bgit run bake --nproc 2`: what it says, what becomes of it when somebody dies, two machines."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.conftest import BGIT, Typist, copied, input_yml

PATIENCE_S = 120
ENDS_S = 60
"""How long the others may go on when one has died."""

TWO_MACHINES = ("--nnodes", "2", "--rdzv", "127.0.0.1:29500", "--node-rank", "1")

STEPS = 300
"""Of a bake that is long enough to be killed; each takes 20 ms."""


@pytest.fixture(scope="module")
def answered(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with questions and answers, and a bake of many steps to come."""
    made = copied(new_repository, tmp_path_factory.mktemp("answered") / "repo")
    text = input_yml().replace("epochs: 2", f"epochs: {STEPS // 3}")
    made.commit(text)
    made.must("run", "stim", "rollout")
    return made


@pytest.fixture
def begun(answered: Typist, tmp_path: Path) -> Iterator[tuple[Typist, subprocess.Popen[str]]]:
    """A bake in two processes that has a checkpoint to go on from."""
    typist = copied(answered, tmp_path / "repo")
    with ExitStack() as ending:
        process = subprocess.Popen(
            [BGIT, "run", "bake", "--nproc", "2"],
            cwd=typist.root,
            env={**os.environ, "OMP_NUM_THREADS": "1", **typist.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        ending.enter_context(process)
        ending.callback(process.kill)
        wait(lambda: any(typist.store.glob("bake/*/checkpoints/checkpoint-*/trainer_state.json")))
        yield typist, process


def wait(until: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def ranks() -> list[int]:
    """The processes that train now, as the system lists them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if b"bakery.cli.rank" in path.read_bytes():
                found.append(int(path.parent.name))
    return sorted(found)


def mine(typist: Typist) -> list[int]:
    """Those that train in a repository of this test."""
    found = []
    for pid in ranks():
        with suppress(OSError):  # it has ended meanwhile
            if Path(f"/proc/{pid}/cwd").readlink() == typist.root:
                found.append(pid)
    return found


def test_one_that_is_killed_ends_the_others_and_another_number_goes_on(
    begun: tuple[Typist, subprocess.Popen[str]],
) -> None:
    typist, process = begun
    weights = [*typist.store.glob("bake/*/checkpoints/ranks/**/*.safetensors")]
    assert not weights, "only the first keeps checkpoints: nobody would clear the others away"
    at = time.monotonic()
    os.kill(mine(typist)[1], signal.SIGKILL)
    _, said = process.communicate(timeout=ENDS_S)
    assert time.monotonic() - at < ENDS_S
    assert process.returncode == 4
    assert re.search(r"error: process [01] of 2 was killed \(signal 9\)", said)
    assert "it goes on from the last checkpoint" in said
    assert not mine(typist)
    done = typist("run", "bake", "--json")
    assert done.code == 0, done.err
    assert "goes on from checkpoint-" in done.err
    (rows,) = typist.store.glob("bake/*/metrics.jsonl")
    steps = [json.loads(line)["step"] for line in rows.read_text().splitlines()]
    assert steps == list(range(1, int(json.loads(done.out)["model"].rpartition("/")[2]) + 1))


@pytest.mark.slow
def test_ctrl_c_ends_all_of_them(begun: tuple[Typist, subprocess.Popen[str]]) -> None:
    typist, process = begun
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=ENDS_S)
    assert process.returncode == 130
    assert "stopped" in said
    assert "Traceback" not in said
    assert not mine(typist)


@pytest.mark.slow
def test_nobody_trains_on_behind_a_run_that_was_killed(
    begun: tuple[Typist, subprocess.Popen[str]],
) -> None:
    typist, process = begun
    (pid, *_) = mine(typist)
    folder = Path(Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8").split("\0")[-3])
    assert folder.stat().st_mode & 0o077 == 0
    process.kill()
    process.wait()
    wait(lambda: not mine(typist) and not folder.exists())


@pytest.mark.slow
def test_a_recipe_says_how_many_trained_and_the_id_does_not(
    answered: Typist, tmp_path: Path
) -> None:
    typist = copied(answered, tmp_path / "repo")
    plan = json.loads(typist.must("check", "--json"))
    done = typist("run", "bake", "--nproc", "2", "--json")
    assert done.code == 0, done.err
    made = json.loads(done.out)
    assert made["bake_id"] in json.dumps(plan)
    assert "process 1 of 2: CPU, 1 thread" in done.err
    assert "processes: 2" in typist.read("recipe.yml")
    (folder,) = typist.store.glob("bake/*")
    assert not (folder / "checkpoints").exists()
    assert typist.must("fsck")
    again = typist.must("reproduce")
    assert "Every digest matches" in again


def test_neither_the_place_nor_what_launchers_left_changes_a_bake(
    answered: Typist, tmp_path: Path
) -> None:
    place = tmp_path / "a b%20#é:?"
    place.mkdir()
    left = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "127.0.0.1"}
    left |= {"MASTER_PORT": "29998", "ACCELERATE_MIXED_PRECISION": "bf16"}
    left |= {"ACCELERATE_USE_DEEPSPEED": "true", "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "3"}
    made = []
    for nproc, env in (("1", {}), ("1", left), ("2", left | {"TMPDIR": str(place)})):
        typist = copied(answered, tmp_path / str(len(made)))
        typist.commit(input_yml())
        done = typist("run", "bake", "--json", "--nproc", nproc, **env)
        assert done.code == 0, done.err
        assert done.err.count("not heeded") == bool(env)
        made.append(json.loads(done.out))
    assert made[1]["digest"] == made[0]["digest"]
    assert made[2]["loss"]["last"] == pytest.approx(made[0]["loss"]["last"], rel=1e-4)
    assert not list(place.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--nproc", "100000"), "takes"),
        (("--nproc", "0"), "at least one process"),
        (("--nnodes", "2"), "needs --rdzv HOST:PORT"),
        (("--nnodes", "2", "--rdzv", "here"), "'here' is none"),
        (("--nnodes", "2", "--rdzv", "127.0.0.1:99999"), "is none"),
        (("--nnodes", "3", "--rdzv", "192.0.2.1:29500"), "--node-rank 1"),
        (("--nnodes", "2", "--rdzv", "127.0.0.1:29500", "--node-rank", "2"), "numbered from 0"),
        (("--rdzv", "127.0.0.1:29500"), "--nnodes 2"),
        (("--shard",), "`--nproc N` trains in several"),
        (("--nnodes", "2", "--rdzv", "nobody.invalid:29500"), "nobody knows a machine"),
    ],
)
def test_what_cannot_be_is_refused_at_once(
    words: tuple[str, ...], said: str, answered: Typist
) -> None:
    done = answered("run", "bake", *words)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert said in answered("run", "bake", *words, "--dry-run").err
    assert not list(answered.store.glob("bake/*"))


@pytest.mark.parametrize("more", [(), ("--detach",), ("--dry-run",)])
@pytest.mark.parametrize("words", [("--nproc", "2"), ("--shard",), TWO_MACHINES])
def test_only_a_bake_takes_processes(
    words: tuple[str, ...], more: tuple[str, ...], answered: Typist
) -> None:
    done = answered("run", "stim", "rollout", *words, *more)
    assert done.code == 2
    assert "about how a bake is trained" in done.err or "for one machine" in done.err
    assert not list(answered.store.glob("jobs/*"))


def test_a_file_of_accelerate_is_an_option_like_the_others(
    answered: Typist, tmp_path: Path
) -> None:
    file = tmp_path / "accelerate.yaml"
    missing = answered("run", "bake", "--accelerate", str(file))
    assert missing.code == 2
    assert "accelerate.yaml" in missing.err
    file.write_text("distributed_type: FSDP\nnum_processes: 1\n", encoding="utf-8")
    alone = answered("run", "bake", "--accelerate", str(file))
    assert alone.code == 2
    assert "nobody to share the base with" in alone.err
    before_it = answered("run", "bake", "--accelerate", str(file), "--nproc", "0")
    assert "--nproc 0: at least one process" in before_it.err
    file.write_text("distributed_type: TPU\n", encoding="utf-8")
    other = answered("run", "bake", "--accelerate", str(file))
    assert other.code == 2
    assert f"{file}: distributed_type TPU is not done" in other.err


def test_a_machine_that_helps_leaves_nothing_when_it_is_killed(
    answered: Typist, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    typist = replace(answered, env={**answered.env, "TMPDIR": str(place)})
    with typist.started("run", "bake", "--nproc", "1", *TWO_MACHINES) as process:
        wait(lambda: any(place.glob("bakery-processes-*/logs")))
        assert [*place.glob("bakery-helps-*")]
        process.terminate()
    wait(lambda: not [*place.glob("bakery-*")])


MACHINES = ("bakery-test-a", "bakery-test-b")
FIRST, SECOND = "10.231.7.1", "10.231.7.2"


@pytest.fixture
def machines() -> Iterator[None]:
    """Two network namespaces with a cable between them: each has addresses of its own."""
    lines = [
        *(f"ip netns add {name}" for name in MACHINES),
        f"ip link add veth0 netns {MACHINES[0]} type veth peer name veth0 netns {MACHINES[1]}",
        f"ip -n {MACHINES[0]} addr add {FIRST}/24 dev veth0",
        f"ip -n {MACHINES[1]} addr add {SECOND}/24 dev veth0",
        *(f"ip -n {name} link set {link} up" for name in MACHINES for link in ("lo", "veth0")),
    ]
    with ExitStack() as ending:
        for name in MACHINES:
            ending.callback(subprocess.run, ["ip", "netns", "del", name], capture_output=True)
        for line in lines:
            try:
                done = subprocess.run(line.split(), capture_output=True, text=True, check=False)
            except OSError as error:
                pytest.skip(f"no network namespaces here: {error}")
            if done.returncode:
                pytest.skip(f"no network namespaces here: {line}: {done.stderr.strip()}")
        yield


@pytest.mark.slow
def test_two_machines_bake_what_one_does(machines: None, answered: Typist, tmp_path: Path) -> None:
    here, there = (copied(answered, tmp_path / name) for name in ("here", "there"))
    line = [BGIT, "run", "bake", "--nproc", "1", "--nnodes", "2", "--rdzv", f"{FIRST}:29577"]
    running = [
        subprocess.Popen(
            ["ip", "netns", "exec", name, *line],
            cwd=typist.root,
            env={**os.environ, "OMP_NUM_THREADS": "1", **typist.env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, typist in zip(MACHINES, (here, there), strict=True)
    ]
    said = [process.communicate(timeout=PATIENCE_S) for process in running]
    assert [process.returncode for process in running] == [0, 0], said
    assert "recorded on the first" in said[1][0]
    assert "training along" in said[1][1]
    assert "processes: 2" in here.read("recipe.yml")
    assert ">>> bake" not in there.read("recipe.yml")
    assert not list(there.store.glob("bake/*"))
