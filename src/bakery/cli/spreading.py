"""The options of `bgit run` that say in how many processes a bake is trained."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from bakery.cli.said import Place
from bakery.torchrun import asked, config_file
from bakery.torchrun.asked import Processes

OPTIONS = (
    click.option(
        "--nproc",
        type=int,
        metavar="N",
        help="Train in so many processes on this machine: one on each GPU that is shown unless "
        "said otherwise, and one where there is none. The bake and its id stay what they are.",
    ),
    click.option("--nnodes", type=int, metavar="N", help="Train on so many machines."),
    click.option(
        "--rdzv",
        metavar="HOST:PORT",
        help="Where they meet: the first of them, as the others reach it. The same line is typed "
        "on each; the first makes what is missing, and records the bake.",
    ),
    click.option(
        "--node-rank",
        type=int,
        metavar="N",
        help="Which machine this is, from 0. A scheduler says it (SLURM_NODEID), or HOST does.",
    ),
    click.option(
        "--shard",
        is_flag=True,
        help="Share the base's weights out over the processes: for one that fits no GPU whole.",
    ),
    click.option(
        "--accelerate",
        type=Place(dir_okay=False),
        metavar="FILE",
        help="Take all of this from a file that `accelerate config` has written; what is said "
        "beside it goes before it.",
    ),
)


def process_options(run: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options, as `processes`, and as `not_heeded` what has no effect."""

    @wraps(run)
    def with_processes(
        *arguments: Any,
        nproc: int | None,
        nnodes: int | None,
        rdzv: str | None,
        node_rank: int | None,
        shard: bool,
        accelerate: Path | None,
        **others: Any,
    ) -> None:
        found, not_heeded = config_file.asked(accelerate) if accelerate else (Processes(), [])
        processes = Processes(
            here=found.here if nproc is None else nproc,
            machines=found.machines if nnodes is None else nnodes,
            meeting=found.meeting if rdzv is None else rdzv,
            number=found.number if node_rank is None else node_rank,
            sharded=shard or found.sharded,
        )
        run(*arguments, processes=asked.checked(processes), not_heeded=not_heeded, **others)

    for option in reversed(OPTIONS):
        with_processes = option(with_processes)
    return with_processes
