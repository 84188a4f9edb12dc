"""What is asked of torchrun, and what its processes say to the one that was asked."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from bakery.app import spread
from bakery.errors import ConfigError, ModelError, StageError
from bakery.reporting import Quiet
from bakery.torchrun import environment, launch
from bakery.torchrun.agent import FAILED, LOGS
from bakery.torchrun.asked import Processes, checked
from bakery.torchrun.said import Told, shown

FAR = "192.0.2.1:29500"
HERE = "127.0.0.1:29500"


@pytest.mark.parametrize(
    ("asked", "environment", "number"),
    [
        (Processes(), {}, 0),
        (Processes(here=4), {"SLURM_NODEID": "3"}, 0),  # one machine of a larger job
        (Processes(machines=2, meeting=HERE), {}, 0),
        (Processes(machines=2, meeting=FAR), {}, 1),
        (Processes(machines=4, meeting=FAR), {"SLURM_NODEID": "3"}, 3),
        (Processes(machines=4, meeting=FAR), {"JOB_COMPLETION_INDEX": "2"}, 2),
        (Processes(machines=4, meeting=FAR, number=1), {"SLURM_NODEID": "3"}, 1),
    ],
)
def test_a_machine_knows_its_number(
    asked: Processes, environment: dict[str, str], number: int
) -> None:
    assert checked(asked, environment).number == number


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Processes(here=0), "--nproc 0"),
        (Processes(machines=0), "--nnodes 0"),
        (Processes(here="2"), "nproc is '2'"),  # type: ignore[arg-type]
        (Processes(here=True), "nproc is True"),
        (Processes(machines=2), "needs --rdzv HOST:PORT"),
        (Processes(machines=2, meeting="nowhere"), "'nowhere' is none"),
        (Processes(machines=2, meeting="a:0"), "is none"),
        (Processes(machines=3, meeting=FAR), "which of the 3 machines"),
        (Processes(machines=2, meeting=FAR, number=2), "numbered from 0 to 1"),
        (Processes(meeting=HERE), "about several machines"),
    ],
)
def test_what_cannot_be_is_refused(asked: Processes, said: str) -> None:
    with pytest.raises(ConfigError) as refused:
        checked(asked, {})
    assert said in refused.value.message


def test_network_interfaces_that_are_not_there_are_refused() -> None:
    several, there = Processes(here=2), socket.if_nameindex()[0][1]
    with pytest.raises(ConfigError) as refused:
        checked(several, {"GLOO_SOCKET_IFNAME": f"{there},nosuch"})
    assert "GLOO_SOCKET_IFNAME says nosuch" in refused.value.message
    assert there in str(refused.value.hint)
    assert checked(several, {"GLOO_SOCKET_IFNAME": there}).number == 0
    assert checked(Processes(), {"GLOO_SOCKET_IFNAME": "nosuch"}).number == 0  # nobody is met


def test_an_address_may_be_of_the_sixth_version() -> None:
    assert Processes(meeting="[::1]:29500").where == ("::1", 29500)


class Heard:
    """A reporter that keeps all that it hears, in order."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
        self.heard.append((label, done, total, detail))

    def partly(self, done: float, of: int) -> None:
        self.heard.append((done, of))

    @contextmanager
    def doing(self, label: str):
        self.heard.append(("begins", label))
        yield
        self.heard.append(("ends", label))

    def note(self, text: str) -> None:
        self.heard.append((text,))


def test_what_a_process_tells_is_heard_in_another_in_its_order(tmp_path: Path) -> None:
    def tell(reporter: Told | Heard) -> None:
        reporter.note("ünï\nzwei")
        with reporter.doing("a"):
            reporter.partly(0.5, 2)
            with reporter.doing("b"):
                reporter.note("within")
            reporter.note("between")
        reporter.progress("bake", 1, 3, "loss 1")

    there, here = Heard(), Heard()
    with shown(tmp_path / "said", there, before="starting"):
        tell(Told(tmp_path / "said"))
    with here.doing("starting"):
        pass
    tell(here)
    assert there.heard == here.heard


TWO = Processes(here=2, number=0)


def test_the_error_of_a_process_is_raised_as_it_was(tmp_path: Path) -> None:
    launch.write_error(tmp_path, 1, ModelError("no such thing", hint="find it"))
    error = launch._error(tmp_path, TWO)
    assert isinstance(error, ModelError)
    assert (error.message, error.hint) == ("no such thing", "find it")


def failed(folder: Path, *found: tuple[int, int, int]) -> StageError:
    """The error after processes have ended, each with its rank, its code, and when."""
    rows = [{"rank": rank, "exit": code, "when": when} for rank, code, when in found]
    (folder / FAILED).write_text(json.dumps(rows))
    error = launch._error(folder, TWO)
    assert isinstance(error, StageError)
    return error


def test_who_was_killed_is_named_and_not_who_was_ended_for_it(tmp_path: Path) -> None:
    error = failed(tmp_path, (0, -15, 1), (1, -9, 2))
    assert "process 1 of 2 was killed (signal 9)" in error.message
    assert "last checkpoint" in str(error.hint)


@pytest.mark.parametrize(("code", "how"), [(-9, "killed (signal 9)"), (130, "told to end")])
def test_torchrun_that_was_ended_is_not_one_that_did_not_start(
    code: int, how: str, tmp_path: Path
) -> None:
    (tmp_path / "agent.log").write_text("W1201 Sending process 3134 closing signal SIGTERM\n")
    error = launch._error(tmp_path, replace(TWO, machines=2, meeting=HERE), code)
    assert error.message == f"torchrun was {how}, and its processes with it"
    assert "on every machine: it goes on" in str(error.hint)


def test_the_last_words_of_a_process_are_quoted(tmp_path: Path) -> None:
    log = tmp_path / LOGS / "run" / "attempt_0" / "0" / "stderr.log"
    log.parent.mkdir(parents=True)
    log.write_text("Traceback\n  File x\nRuntimeError: out of luck\n\n")
    assert "process 0 of 2 ended with an error: RuntimeError: out of luck" in str(
        failed(tmp_path, (0, 1, 1)).message
    )


LEFT = {"RANK": "1", "WORLD_SIZE": "2", "PMI_SIZE": "9", "ACCELERATE_MIXED_PRECISION": "fp16"}


def test_what_other_launchers_left_reaches_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (LEFT | {"SLURM_NODEID": "0"}).items():
        monkeypatch.setenv(name, value)
    found = launch.environment(TWO)
    assert not LEFT.keys() & found.keys()
    assert found["SLURM_NODEID"] == "0"
    with environment.left_out(Quiet()):
        assert not LEFT.keys() & os.environ.keys()
    assert LEFT.items() <= os.environ.items()


@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux for it")
def test_a_process_dies_with_its_parent_though_no_thread_of_it_runs(tmp_path: Path) -> None:
    child = "import time; from bakery.torchrun.watching import die_with_parent as die; die(); "
    child += "print(flush=True); time.sleep(60)"
    parent = "import subprocess, sys, time; p = subprocess.Popen([sys.executable, '-c', sys.argv[1]"
    parent += "], stdout=subprocess.PIPE); p.stdout.readline(); print(p.pid, flush=True); "
    parent += "time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", parent, child], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        os.kill(pid, signal.SIGSTOP)
        process.kill()
        process.wait()
    end = time.monotonic() + 20
    while is_running(pid):
        assert time.monotonic() < end
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Tell whether a process is more than the name of one that nobody has asked after."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_thousand_processes_are_not_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert spread.in_reach(8).here == 8
    with pytest.raises(ConfigError, match="--nproc 1000: this machine has 2 cores"):
        spread.in_reach(1000)


def test_threads_share_the_cores_and_one_machine_listens_to_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    monkeypatch.setattr("sys.platform", "linux")
    found = launch.environment(TWO)
    assert found["OMP_NUM_THREADS"] == "4"
    assert found["GLOO_SOCKET_IFNAME"] == "lo"
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert launch.environment(TWO)["OMP_NUM_THREADS"] == "4"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert launch.environment(TWO)["OMP_NUM_THREADS"] == "3"
