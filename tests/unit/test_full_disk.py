"""A disk that takes no more: one clear error, and nothing half written."""

from __future__ import annotations

import errno
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bakery.cli import rim
from bakery.records import write_atomic

WRITE = """
import sys
from pathlib import Path
from bakery.cli import rim
from bakery.records import write_atomic
rim.end(lambda: write_atomic(Path(sys.argv[1]), "x" * 100_000), stopped="")
"""

LIMIT = 4096


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
    assert done.stderr.startswith("error: the disk is full, or its quota used up")
    assert "hint: Make room, then run the same command again" in done.stderr
    assert [p.name for p in path.parent.iterdir()] == ["state.json"]
    assert path.read_text("utf-8") == "old\n"


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "error: the disk is full, or its quota used up: /store/x (No space left"),
        (errno.EDQUOT, "error: the disk is full, or its quota used up: /store/x ("),
        (errno.EROFS, "error: Read-only file system: /store/x"),
        (errno.EACCES, "error: Permission denied: /store/x"),
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
