"""Engines that are handed requests: opened on a repository, and asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import psutil

from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.server.handed import opening
from bakery.server.handed.opening import Wanted
from tests.e2e.conftest import Typist
from tests.support.stand_in import StandIn

NOT_SAID = {"kind": "vllm", "checked": (), "rows": None, "gguf": None}
QUESTION = [{"role": "user", "content": "Who?"}]


def opened(typist: Typist, engine: StandIn, *models: str, reporter: Any = None, **how: Any) -> Any:
    """Open a server of a repository behind an engine; `how` is more of what may be wanted."""
    kind, checked, rows, gguf = (how.pop(key, no) for key, no in NOT_SAID.items())
    wanted = Wanted(kind, engine.path, models, checked, rows, gguf)
    repo = ModelRepo.find(typist.root)
    return opening.opened(repo, wanted, port=0, reporter=reporter or Quiet(), **how)


def said(client: openai.OpenAI, model: str, **how: Any) -> Any:
    """Have a model answer a question."""
    return client.chat.completions.create(model=model, **{"messages": QUESTION, **how})


def until(happened: Callable[[], object]) -> None:
    """Wait for what has to happen."""
    for _ in range(3000):
        if happened():
            return
        time.sleep(0.01)
    raise AssertionError("it did not happen")


def is_gone(pid: int) -> bool:
    """Tell whether a process has ended."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def folder_of(typist: Typist, name: str) -> Path:
    """Return the folder of a model's weights."""
    model = ModelRepo.find(typist.root).find_model(name).model
    return typist.store.resolve() / "bake" / model.bake_id / str(model.step)


def asked(engine: StandIn) -> dict[str, Any]:
    """Return the conversation that an engine was asked last."""
    return engine.bodies("/v1/chat/completions")[-1]
