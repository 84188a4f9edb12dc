"""A disk that takes no more: one clear error, and nothing half written."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bakery.cli import rim
from bakery.records import write_atomic
from bakery.reporting import Quiet
from tests.support.recorded import committed, git, made, stored

WRITE = """
import sys
from pathlib import Path
from bakery.cli import rim
from bakery.records import write_atomic
rim.end(lambda: write_atomic(Path(sys.argv[1]), "x" * 100_000), stopped="")
"""

PRINTING = """
import os, subprocess, sys
from bakery.cli import rim
def work():
    with open(sys.argv[1], "w") as file:
        file.write("text")
        file.flush()
        sys.stdin.read(0), print("out"), print("err", file=sys.stderr)
        subprocess.run(["echo", "child"])
        subprocess.run("echo child >&2", shell=True)
    return 0
rim.end(work, stopped="")
"""

LIMIT = 4096

RECORD = """
import sys
from bakery.cli import rim
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from tests.support.recorded import result_of
repo = ModelRepo.find()
plan = repo.plan()
rim.end(
    lambda: repo.record(
        plan, result_of(plan), launched=repo.launch_blob(), reporter=Quiet()
    ) and 0,
    stopped="",
)
"""


def test_a_file_that_does_not_fit_leaves_the_old_one_and_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "store" / "state.json"
    write_atomic(path, "old\n")
    done = subprocess.run(
        [sys.executable, "-c", WRITE, str(path)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the disk is full, or its quota is used up")
    assert "hint: Make room, then run the same command again" in done.stderr
    assert [p.name for p in path.parent.iterdir()] == ["state.json"]
    assert path.read_text("utf-8") == "old\n"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "error: the disk is full, or its quota is used up: /store/x (No space left"),
        (errno.EDQUOT, "error: the disk is full, or its quota is used up: /store/x ("),
        (errno.EROFS, "error: Read-only file system: /store/x"),
        (errno.EACCES, "error: Permission denied: /store/x"),
        (errno.ENOTDIR, "error: Not a directory: /store/x"),
        (errno.ENAMETOOLONG, "error: File name too long: /store/x"),
    ],
)
def test_what_the_system_refuses_is_said_in_a_line(
    capsys: pytest.CaptureFixture[str], number: int, message: str
) -> None:
    def work() -> int:
        raise OSError(number, "as the system says", "/store/x")

    with pytest.raises(SystemExit) as ended:
        rim.end(work, stopped="")
    assert ended.value.code == 1
    assert click.unstyle(capsys.readouterr().err).startswith(message)


def test_any_other_error_of_the_system_is_not_hidden() -> None:
    def work() -> int:
        raise OSError(errno.EINVAL, "a mistake of ours")

    with pytest.raises(OSError, match="a mistake of ours"):
        rim.end(work, stopped="")


@pytest.mark.parametrize("limit", [512, 1500])
def test_a_bake_that_cannot_be_recorded_for_want_of_room_leaves_all_as_it_was(
    workplace: Path, limit: int
) -> None:
    repo = made(workplace / "yoda")
    plan = committed(repo, "one")
    result = stored(repo, plan)
    before = (repo.git.head(), git(repo.root, "ls-files", "-s"))
    done = subprocess.run(
        [sys.executable, "-c", RECORD],
        cwd=repo.root,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 3)
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert (repo.git.head(), git(repo.root, "ls-files", "-s")) == before
    assert git(repo.root, "status", "--porcelain") == ""
    assert [path.name for path in repo.store.root.rglob(".*")] == []
    repo.finish_pending(Quiet())
    if not repo.is_recorded(plan.bake.id):
        repo.record(plan, result, launched=repo.launch_blob(), reporter=Quiet())
    assert [bake.base_name for bake in repo.bakes()] == ["one"]
    assert git(repo.root, "status", "--porcelain") == ""


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_stream_that_the_caller_closed_is_nobody_s_file(tmp_path: Path, number: int) -> None:
    """The next file that is opened would take its number, and what is printed after."""
    done = subprocess.run(
        [sys.executable, "-c", PRINTING, str(tmp_path / "file")],
        preexec_fn=lambda: os.close(number),
        check=False,
    )
    assert done.returncode == 0
    assert (tmp_path / "file").read_text("utf-8") == "text"
