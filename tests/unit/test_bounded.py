"""Work on what strangers wrote ends: in time, within its memory, wherever it is asked for."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from threading import Thread

import pytest

from bakery import bounded
from bakery.bounded import BeyondError, FailedError, call

# Windows has no fork: there templates and patterns run in the process itself, without limits.
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a process that is forked")

ENDLESS = re.fullmatch, "(a+)+$", "a" * 40 + "b"


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a new process, of short limits."""
    for name, limit in (("CPU_S", 0.2), ("MEMORY", 64 << 20), ("MOST", 1 << 20)):
        monkeypatch.setattr(bounded, name, limit)
    if bounded._there is not None:
        bounded._there.end()


def doubled(text: str) -> str:
    return text * 2


def filling() -> None:
    kept = []
    while True:
        kept.append("x" * 1_000_000)


def ending() -> None:
    os._exit(3)


def test_work_gives_what_it_makes() -> None:
    assert call(doubled, "ü\ud800") == "ü\ud800ü\ud800"


def test_an_error_says_what_it_was() -> None:
    with pytest.raises(FailedError, match="invalid literal") as raised:
        call(int, "x")
    assert raised.value.kind == "ValueError"


@pytest.mark.parametrize("where", ["main", "thread"])
def test_what_never_ends_is_ended(where: str) -> None:
    found: list[BaseException] = []

    def work() -> None:
        try:
            call(*ENDLESS)
        except BeyondError as error:
            found.append(error)

    if where == "main":
        work()
    else:
        thread = Thread(target=work)
        thread.start()
        thread.join()
    assert "more than 0.2 s" in str(found[0])
    assert call(doubled, "ab") == "abab"


@pytest.mark.parametrize(
    ("work", "given", "told"),
    [
        (filling, (), "MiB of memory"),
        (doubled, ("x" * (1 << 20),), "makes more than 1 MiB"),
        (ending, (), "ends its process"),
    ],
    ids=["memory", "result", "exit"],
)
def test_what_takes_too_much_is_ended(work, given, told, monkeypatch) -> None:
    monkeypatch.setattr(bounded, "CPU_S", 5.0)
    with pytest.raises(BeyondError, match=told):
        call(work, *given)
    assert call(doubled, "ab") == "abab"


def test_a_process_that_ended_while_it_waited_is_made_anew() -> None:
    assert call(doubled, "ab") == "abab"
    worker = bounded._there
    assert worker is not None
    os.kill(worker.pid, 9)
    os.waitpid(worker.pid, 0)
    assert call(doubled, "ab") == "abab"


def test_a_child_has_a_process_of_its_own() -> None:
    call(doubled, "ab")
    child = os.fork()
    if not child:
        os._exit(0 if bounded._there is None and call(doubled, "ab") == "abab" else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert call(doubled, "cd") == "cdcd"


def test_what_cannot_be_handed_over_is_done_here() -> None:
    assert call(lambda: 3) == 3


def test_where_there_is_no_room_for_a_process_no_pipe_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full() -> int:
        raise OSError(errno.EAGAIN, "no room")

    def opened() -> int:
        return len(list(Path("/dev/fd").iterdir()))

    before = opened()
    monkeypatch.setattr(os, "fork", full)
    for _ in range(3):
        with pytest.raises(OSError, match="no room"):
            call(doubled, "x")
    assert opened() == before
    monkeypatch.undo()
    assert call(doubled, "x") == "xx"
