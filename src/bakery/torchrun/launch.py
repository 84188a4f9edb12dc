"""Starts torchrun, shows what its processes say, and says what to do when one of them fails."""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bakery import errors, json_file
from bakery.errors import BakeryError, StageError
from bakery.reporting import Reporter
from bakery.torchrun import environment as surroundings
from bakery.torchrun.agent import FAILED, GRACE_S, LOGS, STOPPED, TOLD
from bakery.torchrun.asked import INTERFACES, Processes
from bakery.torchrun.said import shown

PROGRAM = (sys.executable, "-P", "-m", "bakery.torchrun.agent")
SAID, ERROR = "said.jsonl", "error-{rank}.json"
"""In the folder that the processes share: what the first of them says, and why one has ended."""

WAIT_S = 3600.0
"""How long a machine waits for the others: the first may have questions and answers to make."""

_ADDRESS_OF = 0x8915
"""The number by which Linux is asked for the address of an interface (SIOCGIFADDR)."""


def launch(
    asked: Processes,
    program: Sequence[str],
    folder: Path,
    reporter: Reporter,
    *,
    beside: Sequence[Path] = (),
) -> None:
    """Run a program of Python in as many processes as are asked for.

    It is given `folder`, and the id of the process that starts it. What the first tells
    (`said.Told`) is passed on. Raises the error that one of them wrote down (`write_error`),
    StageError where one was killed or failed otherwise. Where this process is killed, `folder`
    and what is `beside` it are removed.
    """
    told = {
        "parent": os.getpid(),
        "asked": asdict(asked),
        "program": [*program],
        "wait_s": WAIT_S,
        "beside": [*map(str, beside)],
    }
    (folder / TOLD).write_text(json.dumps(told), encoding="utf-8")
    if asked.machines > 1:
        reporter.note(
            f"machine {asked.number} of {asked.machines} (from 0): it meets the others at "
            f"{asked.meeting}, and waits for them for {WAIT_S / 60:.0f} minutes at most"
        )
    before = "starting" if asked.machines == 1 else "meeting"
    said = shown(folder / SAID, reporter, before=before)
    with said, (folder / "agent.log").open("wb") as log:
        process = subprocess.Popen(
            [*PROGRAM, str(folder)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(asked),
            start_new_session=True,  # Ctrl-C reaches this process, which ends all the others
        )
        try:
            code = process.wait()
        except BaseException:
            _end(process)
            raise
    if code:
        raise _error(folder, asked, code)


def environment(asked: Processes) -> dict[str, str]:
    """Return the environment of the processes: threads that share the cores, and the way out."""
    count = asked.here or 1
    threads = max(1, (os.cpu_count() or 1) // count)
    found = {"OMP_NUM_THREADS": str(threads), "TORCH_CPP_LOG_LEVEL": "ERROR"}
    if interface := _interface(asked):
        found[INTERFACES] = interface
    said = surroundings.without(os.environ)
    if not said.get("OMP_NUM_THREADS", "").isdecimal():  # accelerate takes it for a whole number
        said.pop("OMP_NUM_THREADS", None)
    return {**found, **said, "PYTHONUNBUFFERED": "1"}


def write_error(folder: Path, rank: int, error: BakeryError) -> None:
    """Leave why a process ends, for the one that started it all."""
    said = {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
    (folder / ERROR.format(rank=rank)).write_text(json.dumps(said), encoding="utf-8")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End torchrun, which ends the others."""
    process.terminate()
    try:
        process.wait(2 * GRACE_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def _error(folder: Path, asked: Processes, code: int = 1) -> BakeryError:
    """Return what has ended a run, of which torchrun has returned `code`."""
    for path in sorted(folder.glob(ERROR.format(rank="*"))):
        with suppress(ValueError, OSError, KeyError):
            said = json_file.load_object(path)
            kind = getattr(errors, said["kind"], StageError)
            found: BakeryError = kind(said["message"], hint=said["hint"])
            return found
    failures: list[dict[str, Any]] = []
    with suppress(ValueError, OSError):
        failures = json.loads((folder / FAILED).read_text(encoding="utf-8"))
    if not failures and (code < 0 or code == STOPPED):
        how = f"killed (signal {-code})" if code < 0 else "told to end"
        return StageError(f"torchrun was {how}, and its processes with it", hint=_again(asked))
    if not failures:
        last = _last_line(folder / "agent.log")
        if asked.machines > 1:
            return StageError(
                f"the {asked.machines} machines did not meet at {asked.meeting}: {last}",
                hint="The same line has to run on each of them, the first has to be reachable "
                "there, and its port free.",
            )
        return StageError(f"the processes did not start: {last}", hint=_again(asked))
    # Torchrun ends the others as soon as one has failed: the first of them is the one to name.
    first = min(failures, key=lambda one: (one["exit"] == -15, one["when"]))
    which = f"process {first['rank']} of {(asked.here or 1) * asked.machines}"
    if first["exit"] < 0:
        return StageError(
            f"{which} was killed (signal {-first['exit']}), and the others were ended",
            hint=f"{_again(asked)} A system that is out of memory kills like that: fewer "
            "processes, or a smaller BAKE.micro_batch_size, need less.",
        )
    last = _last_line(folder, of_rank=first["rank"])
    return StageError(f"{which} ended with an error: {last}", hint=_again(asked))


def _again(asked: Processes) -> str:
    where = "" if asked.machines == 1 else " on every machine"
    return f"Run the same command again{where}: it goes on from the last checkpoint."


def _last_line(path: Path, *, of_rank: int | None = None) -> str:
    """Return the last thing that was said in a log, or by a process."""
    paths = [path] if of_rank is None else sorted((path / LOGS).glob(f"*/*/{of_rank}/stderr.log"))
    for one in paths:
        with suppress(OSError):
            lines = one.read_text(encoding="utf-8", errors="replace").split("\n")
            said = [line.strip() for line in lines if line.strip() and not line.startswith(" ")]
            if said:
                return said[-1][:500]
    return "nothing was said"


def _interface(asked: Processes) -> str | None:
    """Return the network interface by which gloo's processes reach each other; None: it finds it.

    By the machine's name it would take an address that nobody else may reach.
    """
    if sys.platform != "linux":
        return "lo0" if asked.machines == 1 and sys.platform == "darwin" else None
    if asked.machines == 1:
        return "lo"
    import fcntl  # which Windows has not

    with suppress(OSError), closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as asking:
        asking.connect(asked.where)  # sends nothing: it chooses the way there
        own = asking.getsockname()[0]
        for _, name in socket.if_nameindex():
            with suppress(OSError):
                request = struct.pack("256s", name.encode()[:15])
                reply = fcntl.ioctl(asking.fileno(), _ADDRESS_OF, request)
                if socket.inet_ntoa(reply[20:24]) == own:
                    return name
    return None
