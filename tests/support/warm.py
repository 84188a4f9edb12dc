"""Commands in processes of their own that need not import torch first: they fork from one that has.

What runs is what the installed script runs, with the caller's arguments, folder, environment and
streams. Where a test is about how a process begins it is started cold.
"""

from __future__ import annotations

import array
import atexit
import contextlib
import gc
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

PROGRAMS = {"bgit": ("bakery.cli.app", "bgit"), "bakery": ("bakery.cli.bakery", "main")}

IMPORTED = (
    "accelerate", "datasets", "peft", "torch", "transformers.models.llama.modeling_llama",
    "bakery.cli.app", "bakery.cli.bakery", "bakery.stages.bake", "bakery.app.run",
    "bakery.distil.run",
)  # fmt: skip
"""What most commands import; those that import less are not hurt by it."""

READ_EARLY = ("PYTHON", "LC_", "LANG", "COV", "HF_", "TRANSFORMERS_", "OMP_", "LD_")
"""Variables of the environment that are read while a process begins, or while it imports."""


@dataclass(frozen=True)
class Typed:
    """What a process left: its exit code, negative for a signal, and what it printed."""

    code: int
    out: str
    err: str


def run(program: str, words: Sequence[str], *, cwd: Path | None, env: Mapping[str, str],
        stdin: str = "") -> Typed:  # fmt: skip
    """Run one command to its end, forked where that makes no difference."""
    warm = _warm() if _begins_as(env) and hasattr(os, "fork") else None
    with contextlib.ExitStack() as opened:
        given, out, err = (opened.enter_context(tempfile.TemporaryFile()) for _ in range(3))
        given.write(stdin.encode())
        given.seek(0)
        place = str(cwd or Path.cwd())
        if warm is None:
            script = str(Path(sys.executable).with_name(program))
            code = subprocess.run(
                [script, *words], cwd=place, env=dict(env), stdin=given, stdout=out, stderr=err,
                check=False,
            ).returncode  # fmt: skip
        else:
            order = {"program": program, "words": list(words), "cwd": place, "env": dict(env)}
            code = warm.run(order, [given.fileno(), out.fileno(), err.fileno()])
        said = []
        for file in (out, err):
            file.seek(0)
            said.append(file.read().decode())
    return Typed(code, *said)


def _begins_as(env: Mapping[str, str]) -> bool:
    """Tell whether a process of that environment would begin as the warm one did.

    Where lines are counted each begins by itself, as one that is forked counts none.
    """
    return _early(env) == _early(_first()) and not any(name.startswith("COV") for name in env)


def _early(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name.startswith(READ_EARLY)}


@cache
def _first() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


class _Warm:
    """The process that has imported, and waits to be forked."""

    def __init__(self) -> None:
        self._here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warm", str(there.fileno())],
                pass_fds=[there.fileno()], env=_first(), cwd=Path(__file__).parents[2],
            )  # fmt: skip

    def run(self, order: Mapping[str, Any], streams: list[int]) -> int:
        """Have one command run with these streams; return its exit code."""
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:  # of any length
            json.dump(order, file)
            file.flush()
            fds = array.array("i", streams)
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)]
            self._here.sendmsg([file.name.encode()], ancillary)
            said = self._here.recv(64)
        assert said, "the warm process is gone"
        return int(said)

    def close(self) -> None:
        """End it."""
        self._here.close()
        self._process.wait()


@cache
def _warm() -> _Warm:
    made = _Warm()
    atexit.register(made.close)
    return made


def _serve(sock: socket.socket) -> dict[str, Any] | None:
    """Fork for each order; return the order in the child, None when nobody asks any more."""
    while True:
        name, ancillary, _, _ = sock.recvmsg(4096, socket.CMSG_SPACE(3 * 4))
        if not name:
            return None
        streams = array.array("i")
        for _, _, data in ancillary:
            streams.frombytes(data)
        order: dict[str, Any] = json.loads(Path(name.decode()).read_text())
        if (child := os.fork()) == 0:
            sock.close()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
                os.close(stream)
            return order
        for stream in streams:
            os.close(stream)
        _, status = os.waitpid(child, 0)
        sock.send(str(os.waitstatus_to_exitcode(status)).encode())


def main() -> None:
    """Import, wait, and be one command after the other."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in IMPORTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    order = _serve(socket.socket(fileno=int(sys.argv[1])))
    if order is None:
        return
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    sys.modules["__main__"].__package__ = None  # as of a script: help says its name
    module, function = PROGRAMS[order["program"]]
    sys.argv = [str(Path(sys.executable).with_name(order["program"])), *order["words"]]
    _end(getattr(importlib.import_module(module), function))


def _end(command: Callable[[], Any]) -> NoReturn:
    """Run a command and end as Python would, but for the modules, which take long to take down."""
    try:
        code: Any = command()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # what Python itself ends with
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


if __name__ == "__main__":
    main()
