"""The same rows as metrics.jsonl, sent to a run at Weights & Biases where that was asked for.

Nothing else is sent: no prompt, no answer, no weights. The key is the package's own business.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from bakery.identity import Wandb

Send = Callable[[Mapping[str, Any]], None]


@contextmanager
def sending(asked: Wandb | None, config: Mapping[str, Any]) -> Iterator[Send]:
    """Yield what sends a row: to a run that is open meanwhile, or nowhere."""
    if asked is None:
        yield lambda row: None
        return
    wandb = importlib.import_module("wandb")
    run = wandb.init(
        project=asked.project,
        name=asked.name,
        entity=asked.entity,
        tags=list(asked.tags),
        config=dict(config),
    )
    try:
        yield lambda row: run.log(dict(row), step=int(row["step"]))
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()
