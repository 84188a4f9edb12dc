"""Whatever is stopped or killed, the same command finishes it, and makes nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.e2e.conftest import BGIT, Typed, Typist, copied, input_yml

PATIENCE_S = 120


@dataclass(frozen=True)
class Story:
    """One repository whose run was stopped three times, and one that ran through."""

    whole: Typist
    stopped: Typist
    ctrl_c: Typed
    """What the run said that was stopped by hand, in bake."""
    seen: tuple[bytes, bytes]
    """trajectories.jsonl after the kill in rollout, and after the stop in bake."""
    steps: int
    """The last step that was logged when the bake was stopped."""
    changed: str
    """What `git status` said after the kill between the commit and the refresh."""
    last: Typed


def long_input() -> str:
    """Return a configuration of five batches of answers and three checkpoints."""
    text = input_yml(questions=80).replace("num_traj_per_stimulus: 2", "num_traj_per_stimulus: 4")
    return text.replace("max_tokens: 12", "max_tokens: 60").replace("epochs: 2", "epochs: 3")


@contextmanager
def running(typist: Typist) -> Iterator[subprocess.Popen[str]]:
    """Start `bgit run stim rollout bake`; kill it where nobody stopped it."""
    process = subprocess.Popen(
        [BGIT, "run", "stim", "rollout", "bake"],
        cwd=typist.root,
        env={**os.environ, "OMP_NUM_THREADS": "1", **typist.env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    (typist.root / ".git/bgit.pid").write_text(str(process.pid), encoding="utf-8")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait(until: Callable[[], bool]) -> None:
    """Wait for something that a process does."""
    end = time.monotonic() + PATIENCE_S
    while not until():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.005)


def trajectories(typist: Typist) -> bytes:
    return b"".join(p.read_bytes() for p in typist.store.glob("target/*/trajectories.jsonl"))


def metrics(typist: Typist) -> list[str]:
    files = list(typist.store.glob("bake/*/metrics.jsonl"))
    return [line for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def kill_in_rollout(typist: Typist) -> None:
    """Run until there are trajectories, then kill."""
    with running(typist) as process:
        wait(lambda: bool(trajectories(typist)))
        process.kill()
        process.wait()


def stop_in_bake(typist: Typist) -> Typed:
    """Run until a step after the first checkpoint, then press Ctrl-C."""
    with running(typist) as process:
        wait(lambda: bool(list(typist.store.glob("bake/*/checkpoints/*/trainer_state.json"))))
        step = len(metrics(typist))
        wait(lambda: len(metrics(typist)) > step + 1)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    return Typed(process.returncode, out, err)


def tear_a_checkpoint(typist: Typist) -> None:
    """Leave what a kill in the middle of writing a checkpoint leaves."""
    (checkpoints,) = typist.store.glob("bake/*/checkpoints")
    torn = checkpoints / "checkpoint-9999"
    torn.mkdir()
    (torn / "optimizer.pt").write_bytes(b"PK")


def kill_after_commit(typist: Typist) -> None:
    """Run until git has made the commit, then kill bgit alone."""
    hook = typist.hook("post-commit", "kill -9 $(cat .git/bgit.pid)")
    with running(typist) as process:
        process.communicate(timeout=PATIENCE_S)
    assert process.returncode == -signal.SIGKILL
    hook.unlink()
    wait(lambda: not list((typist.root / ".git").glob("*.lock")))


@pytest.fixture(scope="module")
def story(new_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("interrupted")
    whole, stopped = (copied(new_repository, folder / name) for name in ("whole", "stopped"))
    whole.commit(long_input())
    stopped.commit(long_input())
    whole.must("run", "stim", "rollout", "bake")
    kill_in_rollout(stopped)
    first = trajectories(stopped)
    ctrl_c = stop_in_bake(stopped)
    steps = int(json.loads(metrics(stopped)[-1])["step"])
    tear_a_checkpoint(stopped)
    second = trajectories(stopped)
    kill_after_commit(stopped)
    changed = stopped.changes()
    last = stopped("run", "stim", "rollout", "bake")
    return Story(whole, stopped, ctrl_c, (first, second), steps, changed, last)


def test_ctrl_c_says_how_to_go_on(story: Story) -> None:
    assert story.ctrl_c.code == 130
    assert "stopped; run the same command again to go on from here" in story.ctrl_c.err
    assert "Traceback" not in story.ctrl_c.err


def test_it_was_stopped_in_the_middle_each_time(story: Story) -> None:
    first, second = map(len, story.seen)
    assert 0 < first < second
    assert 0 < story.steps < len(metrics(story.whole))
    assert story.changed != ""


def test_answers_that_were_there_are_not_made_again(story: Story) -> None:
    first, second = story.seen
    assert second.startswith(first)
    assert trajectories(story.stopped) == second


def test_the_answers_are_those_of_a_run_that_was_not_stopped(story: Story) -> None:
    assert trajectories(story.stopped) == trajectories(story.whole)


def test_every_question_has_its_answers_once(story: Story) -> None:
    rows = [json.loads(line) for line in trajectories(story.stopped).splitlines()]
    assert len(rows) == len({(row["stimulus_id"], row["sample"]) for row in rows}) == 320


def test_a_bake_that_was_stopped_ends_at_the_digest_of_one_that_was_not(story: Story) -> None:
    assert digests(story.stopped) == digests(story.whole)


def test_every_step_of_a_stopped_bake_is_logged_once(story: Story) -> None:
    steps = [json.loads(line)["step"] for line in metrics(story.stopped)]
    assert steps == list(range(1, len(metrics(story.whole)) + 1))


def test_the_bake_is_recorded_once(story: Story) -> None:
    assert story.stopped.subjects() == ["bake: first", "Configure", "init: demo"]
    assert story.stopped.read("recipe.yml").count(">>> bake") == 1


def test_the_same_command_finishes_and_says_so(story: Story) -> None:
    assert story.last.code == 0
    assert "`bake: first" in story.last.err
    assert "was interrupted; it is completed" in story.last.err
    assert story.stopped.changes() == ""
    assert story.stopped.read(".bread") == story.whole.read(".bread")
    assert story.stopped.read() == story.whole.read()


def test_nothing_is_left_to_do_and_no_leftover_lies_about(story: Story) -> None:
    assert list(story.stopped.store.glob("pending/*")) == []
    assert list(story.stopped.store.glob("bake/*/checkpoints")) == []


def digests(typist: Typist) -> list[str]:
    """Return the recorded digests, and the bytes' own."""
    lines = typist.read("recipe.yml").splitlines()
    recorded = [line.split()[1] for line in lines if line.startswith("      digest:")]
    results = [json.loads(p.read_text("utf-8")) for p in typist.store.glob("bake/*/bake.json")]
    return recorded + [result["digest"] for result in results]
