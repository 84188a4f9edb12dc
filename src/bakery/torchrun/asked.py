"""In how many processes a bake is trained, and where: what is asked for, and how it is refused."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from bakery.errors import ConfigError

NUMBERED_BY = ("SLURM_NODEID", "JOB_COMPLETION_INDEX", "GROUP_RANK", "NODE_RANK")
"""Where schedulers say which of a job's machines this one is."""

INTERFACES = "GLOO_SOCKET_IFNAME"
"""By which network interfaces processes reach each other, where somebody says so."""

_ADDRESS = re.compile(r"(?P<host>\[[0-9a-fA-F:]+\]|[A-Za-z0-9._-]+):(?P<port>[0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Processes:
    """How a bake is spread. It shapes speed and memory, and no result but by rounding."""

    here: int | None = None
    """Processes on this machine; None: one for each GPU, else one."""
    machines: int = 1
    meeting: str = ""
    """HOST:PORT of the first machine, where several meet."""
    number: int | None = None
    """Which of them this one is; the first, 0, keeps and records what is made."""
    sharded: bool = False
    """Whether the base's weights are shared out, so that each process holds a part."""

    @property
    def is_first(self) -> bool:
        """Whether what is made is kept on this machine."""
        return not self.number

    @property
    def where(self) -> tuple[str, int]:
        """Return host and port where the machines meet."""
        found = _ADDRESS.fullmatch(self.meeting)
        assert found is not None  # checked
        return found["host"].strip("[]"), int(found["port"])


UNSAID = Processes()
"""What a machine has: a process for each of its GPUs, or one."""

ONE = Processes(here=1, number=0)
"""This process alone."""


def checked(asked: Processes, environment: Mapping[str, str] = os.environ) -> Processes:
    """Return what was asked for with this machine's number, or refuse it."""
    for name, value in (("nproc", asked.here), ("nnodes", asked.machines)):
        if value is not None and type(value) is not int:
            raise ConfigError(f"{name} is {value!r}, and has to be a whole number")
    if asked.here is not None and asked.here < 1:
        raise ConfigError(f"--nproc {asked.here}: at least one process has to train")
    if asked.machines < 1:
        raise ConfigError(f"--nnodes {asked.machines}: at least one machine has to train")
    if asked.machines > 1 or (asked.here or 1) > 1:
        _check_interfaces(environment.get(INTERFACES, ""))
    if asked.machines == 1:
        if asked.meeting or asked.number:
            raise ConfigError(
                "--rdzv and --node-rank are about several machines",
                hint="Say how many: `--nnodes 2`.",
            )
        return replace(asked, number=0)
    found = _ADDRESS.fullmatch(asked.meeting)
    if found is None or not 0 < int(found["port"]) < 1 << 16:
        raise ConfigError(
            f"--nnodes {asked.machines} needs --rdzv HOST:PORT"
            + (f", and {asked.meeting!r} is none" if asked.meeting else ""),
            hint="HOST is the first machine, as all of them reach it; PORT is free there.",
        )
    number = asked.number if asked.number is not None else _number(asked, environment)
    if not 0 <= number < asked.machines:
        raise ConfigError(
            f"--node-rank {number}: {asked.machines} machines are numbered from 0 to "
            f"{asked.machines - 1}"
        )
    return replace(asked, number=number)


def _check_interfaces(said: str) -> None:
    """Refuse network interfaces that are not there: gloo would say no more than that."""
    there = [name for _, name in socket.if_nameindex()]
    for name in filter(None, said.split(",")):
        if name not in there:
            raise ConfigError(
                f"{INTERFACES} says {name}, and this machine has no such network interface",
                hint=f"It has {', '.join(there)}. Without {INTERFACES} the one is taken by which "
                "the others are reached.",
            )


def _number(asked: Processes, environment: Mapping[str, str]) -> int:
    """Return which of the machines this is, by a scheduler's word or by its address."""
    for name in NUMBERED_BY:
        if environment.get(name, "").isdecimal():
            return int(environment[name])
    if _is_here(asked.where[0]):
        return 0
    if asked.machines == 2:
        return 1
    raise ConfigError(
        f"which of the {asked.machines} machines is this one?",
        hint="Say it: `--node-rank 1` on the second. The first, 0, keeps and records the bake.",
    )


def _is_here(host: str) -> bool:
    """Tell whether a host is this machine: only its own addresses can be listened on."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"--rdzv: nobody knows a machine called {host}: {error}") from error
    for family, kind, _, _, address in found:
        with closing(socket.socket(family, kind)) as tried:
            try:
                tried.bind((address[0], 0, *address[2:]))
            except OSError:
                continue
            return True
    return False
