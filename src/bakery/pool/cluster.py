"""Ray, begun on this machine for one command, or joined where it runs; all of it ends with us.

A cluster of this machine listens on loopback alone, its token lies in a folder that only we may
read, and nothing of it stays behind. What Ray prints goes into its logs there.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from bakery.errors import ConfigError, StageError
from bakery.pool.addresses import INSTALL, Place
from bakery.pool.head import REFUSED, kill_session
from bakery.store.processes import ProcessId

FOLDER = "bgit-ray-"
LONGEST = 107 - len("/ray/session_2026-12-01_01-30-00_123456_1234567/sockets/plasma_store")
"""Of the folder's own path: a socket of Unix lies in it, whose path has 107 characters at most."""
BEGIN_S, END_S = 90.0, 10.0
"""How long Ray may take to be there on this machine, and to be gone."""
THREADS = 4
"""Of a process on a CPU, where there are so many cores: more gain little."""
FEWEST = 2

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is sent to anybody
    "RAY_DISABLE_IMPORT_WARNING": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_CLIENT_INITIAL_CONNECTION_TIMEOUT_S": "4",
    "RAY_CLIENT_MAX_CONNECTION_TIMEOUT_S": "6",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """How many processes there are, and what each of them takes."""

    actors: int
    cpus: float
    gpus: float
    threads: int | None
    """Of torch, in each. None: Ray says, by its cores."""

    def __str__(self) -> str:
        each = "a GPU each" if self.gpus else _threads(self.threads)
        return f"{self.actors} process{'es' * (self.actors > 1)}" + (f", {each}" if each else "")


def _threads(count: int | None) -> str:
    return "" if count is None else f"{count} thread{'s' * (count > 1)} each"


def fitting(asked: int | None, cores: int, gpus: int, most: int | None = None) -> Shape:
    """Return how many processes a machine has room for: one for each GPU, or for some cores.

    `most`: threads of each, where somebody has said so (OMP_NUM_THREADS).
    """
    if gpus and (asked is None or asked <= gpus):
        return Shape(asked or gpus, 0, 1, most)
    actors = asked or max(FEWEST, cores // THREADS)
    threads = max(1, cores // actors)
    # Of a GPU as much that it holds a whole number of them.
    share = 1 / -(-actors // gpus) if gpus else 0
    return Shape(actors, 1, share, min(threads, most or threads))


def _most_threads() -> int | None:
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(said) if said.isdecimal() and int(said) else None


def over_nodes(nodes: list[dict[str, float]]) -> Shape:
    """Return what a cluster has room for, by what each of its machines has."""
    gpus = sum(int(node.get("GPU", 0)) for node in nodes)
    if gpus:
        return Shape(gpus, 0, 1, None)
    cores = [int(node.get("CPU", 0)) for node in nodes if node.get("CPU", 0) >= 1]
    each = min([THREADS, *cores])
    return Shape(max(1, sum(c // each for c in cores)), each, 0, each)


@contextlib.contextmanager
def opened(place: Place) -> Iterator[tuple[Any, Shape]]:
    """Give Ray, with room for some processes; end what was begun, however the block ends."""
    with contextlib.ExitStack() as after:
        take_sigterm = after.enter_context(_as_ctrl_c())
        after.enter_context(_environment(_QUIET))
        folder = after.enter_context(_private_folder()) if place.is_local else None
        if folder is not None:  # what it says is read when Ray is imported
            after.enter_context(_environment(of_this_machine(folder), without=_OF_OTHERS))
        after.enter_context(_silence())
        ray = _imported()
        if folder is None:
            shape = _join(ray, place, after)
        else:
            after.enter_context(_alone(ray))
            shape = _begin(ray, place, folder, after)
        take_sigterm()
        yield ray, shape


def _imported() -> Any:
    """Return Ray, which knows the variables of now: it reads them when it is imported."""
    is_first = "ray" not in sys.modules
    try:
        import ray
    except ImportError as error:
        raise ConfigError(f"Ray cannot be loaded: {error}", hint=INSTALL) from error
    if ray.is_initialized():
        raise ConfigError(
            "Ray is in use in this process already",
            hint="`ray.shutdown()` first: a pool begins and ends its own.",
        )
    if not is_first:
        private: Any = ray._raylet
        private.Config.initialize("")
        private.AuthenticationTokenLoader.instance().reset_cache()
    return ray


_OF_OTHERS = ("RAY_ADDRESS", "RAY_AUTH_TOKEN")
"""Variables that are for other clusters than one of our own."""


def of_this_machine(folder: Path) -> dict[str, str]:
    """Return what is said to Ray of a cluster of this machine, and write its token."""
    token = folder / "token"
    token.write_text(secrets.token_hex(32), encoding="utf-8")
    token.chmod(0o600)
    return {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # no other machine: then it is on loopback
    }


def _begin(ray: Any, place: Place, folder: Path, after: contextlib.ExitStack) -> Shape:
    cores = _cores()
    head = _Head(folder, fitting(place.actors, cores, gpus=0).actors)
    after.callback(head.end)
    _connect(ray, head.address(), after)
    return fitting(place.actors, cores, int(ray.cluster_resources().get("GPU", 0)), _most_threads())


def _cores() -> int:
    """Return how many cores this process may use: a container, or Slurm, may give it a few."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Head:
    """The process that begins Ray here; all that it begins ends with it, however this one ends."""

    def __init__(self, folder: Path, cpus: int) -> None:
        self._folder, self._log = folder, folder / "head.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "bakery.pool.head", str(folder), str(cpus)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True,
            )  # fmt: skip

    def address(self) -> str:
        """Return where it listens, once it does."""
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], BEGIN_S)
        said = self._process.stdout.readline().decode(errors="replace").strip() if ready else ""
        if said and not said.startswith(REFUSED):
            return said
        told = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        why = said.removeprefix(REFUSED) or (told[-1] if told else f"nothing in {BEGIN_S:.0f} s")
        raise StageError(
            f"Ray does not begin on this machine: {why[:300]}",
            hint="`bgit run` without --on answers in one process.",
        )

    def end(self) -> None:
        """Let go of it, and wait until all of it is gone."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        kill_session(self._process.pid)  # nobody is left in it, unless its first was killed
        if self._process.stdout is not None:
            self._process.stdout.close()


def _join(ray: Any, place: Place, after: contextlib.ExitStack) -> Shape:
    _connect(ray, str(place), after)
    return over_nodes([node["Resources"] for node in ray.nodes() if node["Alive"]])


def _connect(ray: Any, address: str, after: contextlib.ExitStack) -> None:
    after.callback(ray.shutdown)
    quietly = {
        "log_to_driver": False,
        "configure_logging": False,
        "logging_level": logging.CRITICAL,
    }
    try:
        try:
            ray.init(address=address, **quietly)
        except ConnectionAbortedError:  # Ray's server forks one for us, which now and then hangs
            ray.shutdown()
            ray.init(address=address, **quietly)
    except Exception as error:  # of many kinds: versions, tokens, no server of Ray's at all
        raise ConfigError(
            f"the cluster at {address} cannot be joined: {_said(error)}",
            hint="Ray and Python have to be of the same versions there, and the port that of "
            "Ray's client server. Its token is read from RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH.",
        ) from error


def _said(error: BaseException) -> str:
    """Return the line of an error that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    said = lines[0] if lines else type(error).__name__
    if said.endswith(":") and len(lines) > 1:  # a traceback of the server follows
        said = f"{said} {lines[-1]}"
    return said[:300]


@contextlib.contextmanager
def _private_folder() -> Iterator[Path]:
    """Give a folder that only this user may enter; those of processes that were killed go."""
    root = Path(tempfile.gettempdir())
    if len(str(root)) + len(FOLDER) + 20 > LONGEST:
        root = Path("/tmp")
    sweep(root)
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=root))  # mode 0700
    own = ProcessId.own()
    (folder / "owner").write_text(f"{own.pid} {own.started} {own.host}", encoding="utf-8")
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(root: Path) -> None:
    """Remove what processes that were killed have left."""
    for folder in root.glob(f"{FOLDER}*"):
        with contextlib.suppress(OSError, ValueError):
            if folder.lstat().st_uid != os.getuid():
                continue
            pid, started, host = (folder / "owner").read_text(encoding="utf-8").split(" ", 2)
            if ProcessId(int(pid), float(started), host).is_dead():
                shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _alone(ray: Any) -> Iterator[None]:
    """Have Ray know no other machine, where it was imported before this was asked for."""
    constants: Any = ray._private.ray_constants
    before = constants.ENABLE_RAY_CLUSTER
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before


@contextlib.contextmanager
def _environment(values: dict[str, str], without: tuple[str, ...] = ()) -> Iterator[None]:
    """Set variables for what is begun within, and put them back."""
    before = {name: os.environ.get(name) for name in (*values, *without)}
    os.environ.update(values)
    for name in without:
        os.environ.pop(name, None)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Let Ray say nothing on the screen: what matters comes as an error."""
    logger = logging.getLogger("ray")
    before, propagated = logger.level, logger.propagate
    logger.setLevel(logging.CRITICAL)
    logger.propagate = False
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="ray")
        warnings.filterwarnings("ignore", category=ResourceWarning)
        try:
            yield
        finally:
            logger.setLevel(before)
            logger.propagate = propagated


@contextlib.contextmanager
def _as_ctrl_c() -> Iterator[Callable[[], None]]:
    """End as Ctrl-C does where this process is told to: Ray's processes have to be ended, too.

    Gives what sets that anew, as Ray puts a handler of its own in its place.
    """
    before = signal.getsignal(signal.SIGTERM)
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    handler = end if before is signal.SIG_DFL else before

    def take() -> None:
        signal.signal(signal.SIGTERM, handler)

    take()
    try:
        yield take
    finally:
        signal.signal(signal.SIGTERM, before)
