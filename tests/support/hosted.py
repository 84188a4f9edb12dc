"""Clients of a server on this machine, and a rollout by a model that it serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bakery.backends.endpoint import Endpoint as Client
from bakery.backends.endpoint import endpoint_for
from bakery.backends.hosted import HostedSampler
from bakery.engine.text.chat import Chat
from bakery.identity import BaseModelId, RolloutRequest, SamplingSettings, StimRequest
from bakery.records import Prompt, Trajectory, read_rows
from bakery.reporting import Quiet
from bakery.stages import rollout, stim
from bakery.store import results
from tests.support.baking import SHOUT
from tests.support.endpoint import Endpoint

KEY = "very-secret-key"


def client_of(endpoint: Endpoint, model: str = "gpt-5", **environment: str) -> Client:
    given = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": endpoint.url, **environment}
    found = endpoint_for(model, given)
    assert isinstance(found, Client)
    return found


class Rollout:
    """Twelve questions, and a rollout of them by a hosted model.

    Those whose numbers are in `conditioned` are answered behind the student prompt.
    """

    def __init__(
        self,
        folder: Path,
        teacher: Prompt = SHOUT,
        conditioned: tuple[int, ...] = (),
        **sampling: Any,
    ) -> None:
        asked = tuple(
            {"type": "hardcoded", "questions": [f"q{i}?"]}
            | ({"rollout_with_conditioned": True} if i in conditioned else {})
            for i in range(12)
        )
        request = StimRequest(teacher, asked, {})
        self.stim, self.out = folder / "stim", folder / "target"
        stim.run(request, self.stim, open_writer=lambda _: None, reporter=Quiet())  # type: ignore[arg-type,return-value]
        settings = SamplingSettings(1, 64, **sampling)
        base = BaseModelId("base", "", "0" * 64)
        self.request = RolloutRequest(request.id, teacher, settings, base, None, "hosted:m")

    def run(
        self, endpoint: Endpoint, chat: Chat, concurrency: int = 4, model: str = "gpt-5"
    ) -> list[Trajectory]:
        sampler = HostedSampler(client_of(endpoint, model), chat, concurrency=concurrency)
        rollout.run(self.request, self.stim, self.out, sampler=sampler, reporter=Quiet())
        return self.rows()

    def rows(self) -> list[Trajectory]:
        return read_rows(self.out / results.TRAJECTORIES, Trajectory)

    def notes(self) -> list[str]:
        found: list[str] = json.loads((self.out / results.DONE).read_text())["notes"]
        return found
