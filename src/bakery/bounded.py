"""Work on what strangers wrote, in a process of its own that may take so much and no more.

A chat template or a regular expression can run for ever, or fill the memory, and no thread can be
stopped. Where a process cannot be forked (Windows), the work is done here, without limits.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import select
import signal
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

CPU_S = 2.0
"""So long may one piece of work compute: they take milliseconds."""

WALL_S = 30.0
"""So long may it take on a machine that is busy with other things."""

MEMORY = 256 << 20
"""Bytes that it may take beyond what this process has."""

MOST = 32 << 20
"""Bytes of a result."""

IDLE_S = 20
"""So long the process waits for the next work: it keeps memory that is freed here."""

_HEAD = struct.Struct("<Q")


class BeyondError(Exception):
    """Work did not come to an end within the limits; the text says which."""


class FailedError(Exception):
    """Work raised an error: `kind` is the name of its class."""

    def __init__(self, kind: str, said: str) -> None:
        super().__init__(said)
        self.kind = kind


def call(work: Callable[..., Any], *given: Any) -> Any:
    """Return what a function of a module makes of what it is given, if that is plain data.

    BeyondError where it takes too much, FailedError where it raises an error.
    """
    try:
        request = pickle.dumps((work, given)) if hasattr(os, "fork") else None
    except (pickle.PicklingError, TypeError, AttributeError):  # it holds what a program made
        request = None
    if request is None:
        try:
            return work(*given)
        except Exception as error:
            raise FailedError(type(error).__name__, str(error)) from error
    with _lock:
        for _ in range(2):  # one that waited too long for work has ended by itself
            worker = _there or _begin()
            try:
                reply = worker.ask(request)
            except BaseException:
                worker.end()
                raise
            if reply is not None:
                break
        else:
            raise BeyondError(f"it takes more than {CPU_S:g} s, or ends its process")
    answer = json.loads(reply)
    if "beyond" in answer:
        raise BeyondError(answer["beyond"])
    if "kind" in answer:
        raise FailedError(answer["kind"], answer["said"])
    return answer["made"]


@dataclass(frozen=True, slots=True)
class _Worker:
    """The other process, and the pipes to it."""

    pid: int
    to: int
    back: int

    def ask(self, request: bytes) -> bytes | None:
        """Return its reply; None: it ended before it had taken the whole request, or in it."""
        began = time.monotonic()
        try:
            _write(self.to, request)
            head = _read(self.back, _HEAD.size, began)
            size = _HEAD.unpack(head)[0]
            return _read(self.back, min(size, MOST * 8), began)
        except (BrokenPipeError, EOFError):
            took = time.monotonic() - began
            self.end()
            if took > CPU_S / 2:
                raise BeyondError(f"it takes more than {CPU_S:g} s") from None
            return None

    def end(self) -> None:
        """End the process, whatever it does."""
        global _there
        _there = None
        for pipe in (self.to, self.back):
            with suppress(OSError):
                os.close(pipe)
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


_lock = threading.Lock()
_there: _Worker | None = None


def _begin() -> _Worker:
    """Begin the other process; OSError where the system has no room for it."""
    global _there
    pipes: list[int] = []
    try:
        for _ in range(2):
            pipes += os.pipe()
        pid = os.fork()
    except OSError:
        for pipe in pipes:
            os.close(pipe)
        raise
    asked, to, back, told = pipes
    if not pid:
        _serve(asked, told)
    os.close(asked)
    os.close(told)
    _there = _Worker(pid, to, back)
    return _there


def _forget() -> None:
    """Leave the process to the one that this was forked from."""
    global _there, _lock
    if _there is not None:
        for pipe in (_there.to, _there.back):
            with suppress(OSError):
                os.close(pipe)
    _there, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _serve(asked: int, told: int) -> NoReturn:
    """Do what is asked until nobody asks any more."""
    try:
        gc.disable()  # what is another's is not ours to end
        _alone(asked, told)
        _limit_memory()
        while True:
            signal.alarm(IDLE_S)
            size = _HEAD.unpack(_read(asked, _HEAD.size))[0]
            request = _read(asked, size)
            signal.alarm(int(WALL_S) + 1)
            signal.setitimer(signal.ITIMER_PROF, CPU_S)
            reply = _done(request)
            signal.setitimer(signal.ITIMER_PROF, 0)
            _write(told, reply)
    finally:
        os._exit(0)


def _alone(asked: int, told: int) -> None:
    """Hold nothing of the parent's: its locks, files and pipes end with it."""
    for name in ("SIGALRM", "SIGPROF", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    signal.set_wakeup_fd(-1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nothing, stream)
    first, second = sorted((asked, told))
    for low, high in ((3, first), (first + 1, second), (second + 1, _most_files())):
        os.closerange(low, high)


def _most_files() -> int:
    import resource

    return min(resource.getrlimit(resource.RLIMIT_NOFILE)[0], 1 << 16)


def _limit_memory() -> None:
    import resource

    with suppress(OSError, ValueError):  # not every system says, or takes it
        with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a file of Linux
            there = int(file.read().split()[0]) * resource.getpagesize()
        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = there + MEMORY
        limit = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))


def _done(request: bytes) -> bytes:
    try:
        work, given = pickle.loads(request)
        reply = json.dumps({"made": work(*given)}).encode()
        if len(reply) > MOST:
            return json.dumps({"beyond": f"it makes more than {MOST >> 20} MiB"}).encode()
        return reply
    except MemoryError:
        return json.dumps({"beyond": f"it takes more than {MEMORY >> 20} MiB of memory"}).encode()
    except BaseException as error:
        said = str(error)[:2000]
        return json.dumps({"kind": type(error).__name__, "said": said}).encode()


def _write(pipe: int, data: bytes) -> None:
    whole = memoryview(_HEAD.pack(len(data)) + data)
    while whole:
        whole = whole[os.write(pipe, whole) :]


def _read(pipe: int, size: int, began: float | None = None) -> bytes:
    """Read so many bytes; `began`: since when they are waited for, where that has a limit."""
    parts, left = [], size
    while left:
        if began is not None:
            rest = began + WALL_S - time.monotonic()
            if rest <= 0 or not _is_there(pipe, rest):
                raise BeyondError(f"it takes more than {WALL_S:g} s")
        part = os.read(pipe, min(left, 1 << 20))
        if not part:
            raise EOFError
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def _is_there(pipe: int, wait_s: float) -> bool:
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN | select.POLLHUP)
    return bool(waiting.poll(wait_s * 1000))
