"""Questions and answers shared out over processes of Ray, typed as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

import bakery
from bakery.backends.base import AnswerRequest
from bakery.engine.bases import bases
from bakery.errors import StageError
from bakery.identity import SamplingSettings
from bakery.pool.addresses import Place
from bakery.pool.pool import Pool
from bakery.pool.work import Who
from bakery.records import FAKE, Prompt
from bakery.reporting import Quiet
from tests.e2e.conftest import Typist, bgit, copied, input_yml
from tests.support.endpoint import serve

pytest.importorskip("ray", reason="the extra [ray] is not installed")
pytest.importorskip("grpc", reason="the extra [ray] is not installed")

INPUT = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "Answer like a pirate."
TARGET:
  name: pirate
  num_traj_per_stimulus: {samples}
  max_tokens: 24
  generators:
    - type: hardcoded
      questions: [{questions}]
    - type: oneshot_qs
      numq: {numq}
BAKE:
  name: pirate
  epochs: 1
  micro_batch_size: 8
"""
LONGEST_S = 120.0


@pytest.fixture(scope="session")
def on_tiny(tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository on the embedded model; for copies only."""
    folder = tmp_path_factory.mktemp("tiny")
    config = folder / "gitconfig"
    config.write_text("[user]\n    name = Ann\n    email = ann@example.org\n", encoding="utf-8")
    env = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1"}
    made = bgit("init", "demo", "--base-model", "tiny", "--owner", "ann", cwd=folder, **env)
    assert made.code == 0, made.err
    return Typist(folder / "demo", env)


def asking(on_tiny: Typist, folder: Path, *, samples: int = 2, numq: int = 24) -> Typist:
    made = copied(on_tiny, folder)
    questions = ", ".join(f'"What is {n} and {n}?"' for n in range(16))
    made.commit(INPUT.format(samples=samples, questions=questions, numq=numq))
    return made


def rows(typist: Typist, file: str) -> list[dict[str, Any]]:
    found = list(typist.store.glob(f"*/*/{file}"))
    lines = found[0].read_bytes().splitlines() if found else []
    return [json.loads(line) for line in lines if line.endswith(b"}")]


def answers(typist: Typist) -> dict[tuple[str, int], dict[str, Any]]:
    return {(row["stimulus_id"], row["sample"]): row for row in rows(typist, "trajectories.jsonl")}


def of_cluster(driver: int) -> list[psutil.Process]:
    """Return what Ray runs for a command: the session of the process that begins it."""
    heads, found = [], []
    for child in psutil.Process(driver).children():
        with suppress(psutil.NoSuchProcess):
            heads += [child.pid] if "bakery.pool.head" in child.cmdline() else []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) in heads and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.NoSuchProcess):
            continue
    return found


def workers(driver: int) -> list[psutil.Process]:
    return [p for p in of_cluster(driver) if p.name().startswith("ray::Worker")]


def wait_for(what: Any, process: subprocess.Popen[str]) -> Any:
    ends = time.monotonic() + LONGEST_S
    while not (found := what()):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.05)
    return found


def wait_until_gone(processes: list[psutil.Process]) -> list[psutil.Process]:
    ends = time.monotonic() + 15
    left = processes
    while left and time.monotonic() < ends:
        left = [p for p in left if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        time.sleep(0.05)
    return left


def listening(processes: list[psutil.Process]) -> set[str]:
    found = set()
    for process in processes:
        try:
            connections = process.net_connections(kind="inet")
        except psutil.NoSuchProcess:
            continue
        found |= {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN}
    return found


def private_folders(driver: int) -> list[Path]:
    return list(Path("/tmp").glob(f"bgit-ray-{driver}-*"))


def test_two_processes_answer_as_one_and_only_we_hear(on_tiny: Typist, workplace: Path) -> None:
    alone = asking(on_tiny, workplace / "alone")
    alone.must("run", "stim", "rollout")
    shared = asking(on_tiny, workplace / "shared")
    running = shared.started("run", "stim", "rollout", "--on", "local-cluster:2")
    wait_for(lambda: len(workers(running.pid)) == 2, running)
    cluster = of_cluster(running.pid)
    heard = listening([*cluster, psutil.Process(running.pid)])
    (folder,) = private_folders(running.pid)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "token").stat().st_mode & 0o777 == 0o600
    _, said = running.communicate(timeout=LONGEST_S)
    assert running.returncode == 0, said
    assert heard
    assert heard <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert not wait_until_gone(cluster)
    assert not folder.exists()
    assert not (Path.home() / ".ray").exists()
    assert rows(shared, "stimuli.jsonl") == rows(alone, "stimuli.jsonl")
    assert answers(shared) == answers(alone)
    assert len(answers(shared)) == len(rows(shared, "trajectories.jsonl")) == 80
    assert "note: local-cluster: 2 processes, 1 thread each" in said
    assert not [line for line in said.splitlines() if "ray" in line.lower() or "[20" in line]
    targets = [path.name for path in (alone.store / "target").iterdir()]
    assert targets == [path.name for path in (shared.store / "target").iterdir()]


@pytest.mark.slow
def test_a_process_that_is_killed_is_begun_anew(on_tiny: Typist, workplace: Path) -> None:
    alone = asking(on_tiny, workplace / "alone", samples=24)
    alone.must("run", "stim", "rollout")
    shared = asking(on_tiny, workplace / "shared", samples=24)
    shared.must("run", "stim")
    running = shared.started("run", "rollout", "--on", "local-cluster:2")
    wait_for(lambda: answers(shared), running)
    workers(running.pid)[0].kill()
    _, said = running.communicate(timeout=LONGEST_S)
    assert running.returncode == 0, said
    assert "was lost and began anew" in said
    assert answers(shared) == answers(alone)
    assert len(rows(shared, "trajectories.jsonl")) == len(answers(alone)) == 960


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_ended_leaves_no_process_and_goes_on(
    how: signal.Signals, on_tiny: Typist, workplace: Path
) -> None:
    alone = asking(on_tiny, workplace / "alone", samples=24)
    alone.must("run", "stim", "rollout")
    shared = asking(on_tiny, workplace / "shared", samples=24)
    shared.must("run", "stim")
    running = shared.started("run", "rollout", "--on", "local-cluster:2")
    wait_for(lambda: answers(shared), running)
    cluster = of_cluster(running.pid)
    began = time.monotonic()
    running.send_signal(how)
    _, said = running.communicate(timeout=30)
    assert running.returncode == (-9 if how == signal.SIGKILL else 130), said
    assert "Traceback" not in said
    assert not wait_until_gone(cluster)
    assert not private_folders(running.pid) or how == signal.SIGKILL
    kept = answers(shared)
    assert 0 < len(kept) < 960
    assert time.monotonic() - began < 30
    shared.must("run", "rollout", "--on", "local-cluster:2")
    assert answers(shared) == answers(alone)
    assert list(answers(shared))[: len(kept)] == list(kept)


QUESTIONS = [AnswerRequest(f"t/{n}/0", ({"role": "user", "content": "?"},)) for n in range(300)]
SETTINGS = SamplingSettings(1, 8, 1.0)


@pytest.mark.slow
def test_what_a_lost_process_was_at_is_made_by_the_other() -> None:
    told = Quiet()
    with Pool(Place(actors=2), told) as pool:
        who = Who(bases.identify("tiny"), "fake", hosted=FAKE, concurrency=8)
        sampler = pool.sampler(who)
        found = []
        for number, batch in enumerate(sampler.answers(QUESTIONS, Prompt(), SETTINGS)):
            found += [answer.key for answer in batch]
            if number == 1:
                pool.crew.ray.kill(next(iter(pool.crew.actors)).handle)
        assert sorted(found) == sorted(request.key for request in QUESTIONS)
        assert any("is lost: its part is made again by the other" in n for n in told.notes)
        for actor in pool.crew.actors:
            pool.crew.ray.kill(actor.handle)
        with pytest.raises(StageError, match="process"):
            list(sampler.answers(QUESTIONS, Prompt(), SETTINGS))


@pytest.fixture
def cluster(workplace: Path) -> Iterator[str]:
    """A cluster of this machine that somebody else has begun, as `ray start` does."""
    env = {
        **os.environ,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(Path(bakery.__file__).parents[1]),
    }
    port = 21000 + os.getpid() % 1000
    folder = Path("/tmp") / f"bgit-test-ray-{os.getpid()}"
    words = ["start", "--head", "--block", "--node-ip-address=127.0.0.1", "--num-cpus=2"]
    words += ["--include-dashboard=false", f"--ray-client-server-port={port}", "--port=0"]
    words += [f"--temp-dir={folder}", "--object-store-memory=100000000"]
    with (workplace / "ray.log").open("wb") as log:
        head = subprocess.Popen(
            [str(Path(sys.executable).with_name("ray")), *words],
            env=env, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    ends = time.monotonic() + LONGEST_S
    while "Ray runtime started" not in (workplace / "ray.log").read_text(encoding="utf-8"):
        assert head.poll() is None
        assert time.monotonic() < ends
        time.sleep(0.1)
    yield f"ray://127.0.0.1:{port}"
    for process in psutil.process_iter():
        if process.pid != os.getpid() and os.getsid(process.pid) == head.pid:
            process.kill()
    head.wait()
    subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.slow
def test_a_cluster_that_runs_is_joined_and_left_as_it_was(
    cluster: str, on_tiny: Typist, workplace: Path
) -> None:
    alone = asking(on_tiny, workplace / "alone")
    alone.must("run", "stim", "rollout")
    shared = asking(on_tiny, workplace / "shared")
    done = shared("run", "stim", "rollout", "--on", cluster)
    assert done.code == 0, done.err
    assert f"note: {cluster}: 1 process, 2 threads each" in done.err
    assert answers(shared) == answers(alone)
    again = shared("run", "stim", "rollout", "--on", cluster)
    assert again.code == 0, again.err


def test_a_place_that_nobody_is_at_is_refused_at_once(on_tiny: Typist, workplace: Path) -> None:
    typist = asking(on_tiny, workplace / "demo")
    done = typist("run", "--on", "ray://127.0.0.1:1")
    assert done.code == 2
    assert "no cluster answers at ray://127.0.0.1:1: Connection refused" in done.err
    assert not list(typist.store.glob("stim/*"))


@pytest.mark.slow
def test_a_bake_is_sent_to_who_answers_as_it(
    baked_repository: Typist, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in baked_repository.env.items():
        monkeypatch.setenv(name, value)
    asked = input_yml("Now sing!", "third", questions=20).replace("main_target", "sung")
    alone, shared = (
        copied(baked_repository, workplace / name / "demo") for name in ("alone", "shared")
    )
    for one in (alone, shared):
        one.commit(asked)
    alone.must("run", "stim", "rollout")
    report = bakery.Repo(shared.root, progress=False).run("stim", "rollout", on="local-cluster:2")
    assert (report.stimuli, report.trajectories) == (20, 40)
    assert shared.parent() != "None"
    name = report.plan.targets[0].rollout.id
    found = [read(one.store / "target" / name) for one in (alone, shared)]
    assert found[0] == found[1]


def read(folder: Path) -> dict[tuple[str, int], Any]:
    lines = (folder / "trajectories.jsonl").read_text(encoding="utf-8").splitlines()
    return {(row["stimulus_id"], row["sample"]): row for row in map(json.loads, lines)}


@pytest.mark.slow
def test_an_endpoint_is_asked_by_every_process(typist: Typist, workplace: Path) -> None:
    typist.write(HOSTED)
    typist.git("add", ".")
    with serve(["AYE"]) as endpoint:
        env = {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": "quite-secret-key"}
        done = typist("run", "stim", "rollout", "--on", "local-cluster:2", **env)
        assert done.code == 0, done.err
        assert len(endpoint.requests) == 12
    assert {row["text"] for row in answers(typist).values()} == {"AYE"}
    assert "note: answerer answered at the server at OPENAI_BASE_URL" in done.err
    assert "quite-secret-key" not in done.out + done.err
    with serve(["AYE"], statuses=[401] * 99) as endpoint:
        env = {"OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": "quite-secret-key"}
        typist.write(HOSTED.replace("max_tokens: 8", "max_tokens: 9"))
        typist.git("add", ".")
        done = typist("run", "rollout", "--on", "local-cluster:2", **env)
    assert done.code == 4
    assert "invalid x-api-key (HTTP 401)" in done.err


HOSTED = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "SHOUT!"
TARGET:
  name: asked
  max_tokens: 8
  model_name: answerer
  max_concurrency: 4
  generators:
    - type: hardcoded
      questions: ["1?", "2?", "3?", "4?", "5?", "6?", "7?", "8?", "9?", "10?", "11?", "12?"]
"""
