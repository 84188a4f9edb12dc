"""torchrun, in a process of its own: `python -m bakery.torchrun.agent <folder>`.

It starts as many processes of a program as it is told, ends them all as soon as one fails, and
writes down which did, and how.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from bakery import json_file
from bakery.torchrun.asked import Processes
from bakery.torchrun.watching import end_with

TOLD, FAILED = "agent.json", "failed.json"
"""What it is told, and what it leaves behind where a process has failed."""
LOGS, STORE = "logs", "store"
GRACE_S = 5
"""How long the others may take to end."""
STOPPED = 130


def main() -> None:
    """Start the processes, and wait for them."""
    folder = Path(sys.argv[1])
    told = json_file.load_object(folder / TOLD)
    end_with(told["parent"], folders=[folder, *map(Path, told["beside"])])
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    asked = Processes(**told["asked"])
    program = [*told["program"], str(folder), str(os.getpid())]
    try:
        elastic_launch(_config(asked, folder, told["wait_s"]), sys.executable)(*program)
    except ChildFailedError as error:
        found = [_failure(rank, one) for rank, one in sorted(error.failures.items())]
        (folder / FAILED).write_text(json.dumps(found), encoding="utf-8")
        sys.exit(1)
    except SignalException:
        sys.exit(STOPPED)


def _failure(rank: int, failure: Any) -> dict[str, Any]:
    return {
        "rank": rank,
        "exit": failure.exitcode,
        "when": failure.timestamp,
        "log": str(Path(failure.error_file).parent) if failure.error_file else "",
    }


def _config(asked: Processes, folder: Path, wait_s: float) -> Any:
    """Return what torchrun is told: one machine needs no port, several meet at the first's."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, Std
    from torch.distributed.launcher.api import LaunchConfig

    alone = asked.machines == 1
    (folder / LOGS).mkdir()
    rendezvous: dict[str, Any] = {
        "rdzv_backend": "c10d" if alone else "static",
        "rdzv_endpoint": str(folder / STORE) if alone else asked.meeting,
        "rdzv_configs": {"store_type": "file"}
        if alone
        else {"rank": asked.number, "timeout": wait_s},
        "local_addr": "127.0.0.1" if alone else None,
    }
    return LaunchConfig(
        min_nodes=asked.machines,
        max_nodes=asked.machines,
        nproc_per_node=asked.here or 1,
        run_id="bake",
        max_restarts=0,  # whoever runs the same command again goes on from the last checkpoint
        logs_specs=DefaultLogsSpecs(str(folder / LOGS), redirects=Std.ALL),
        shutdown_timeout=GRACE_S,
        **rendezvous,
    )


if __name__ == "__main__":
    main()
