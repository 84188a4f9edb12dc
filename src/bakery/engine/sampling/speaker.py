"""A model that answers: the one loop over `sample`, for both doors.

Whoever has a model say something, teacher, student, writer or judge, has it said here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bakery.engine.packed.prefixes import Prefixes
from bakery.engine.sampling.sampling import Captured, Sample, SampleRequest, Watch, sample
from bakery.engine.text.chat import Chat
from bakery.identity import SamplingSettings
from bakery.records import STOP_TEXT


@dataclass(frozen=True, slots=True)
class Speaker:
    """A model as it stands, and the chat that says where its turns end.

    `watch` is told how far each batch of answers is; `prefixes` are those that somebody else
    needs, too, and `captured` takes what the head read (`sample`).
    """

    model: Any
    chat: Chat
    watch: Watch | None = None
    prefixes: Prefixes | None = None
    captured: Captured | None = None

    def says(
        self, requests: Sequence[SampleRequest], settings: SamplingSettings
    ) -> Iterator[list[Sample]]:
        """Yield what it says behind the ids of each request, batch by batch."""
        for batch in sample(
            self.model,
            requests,
            settings,
            end_ids=self.chat.end_ids,
            pad_id=self.chat.pad_id,
            prefixes=self.prefixes,
            captured=self.captured,
            watch=self.watch,
        ):
            yield [ended_before(self.chat, one, settings.stop) for one in batch]

    def all(
        self,
        requests: Sequence[SampleRequest],
        settings: SamplingSettings,
        *,
        told: Callable[[int], None] = lambda _: None,
    ) -> dict[str, Sample]:
        """Return all of it by key; `told` how many answers there are, after each batch."""
        found: dict[str, Sample] = {}
        for batch in self.says(requests, settings):
            found |= {one.key: one for one in batch}
            told(len(found))
        return found


def ended_before(chat: Chat, sample: Sample, stop: Sequence[str]) -> Sample:
    """Return a sample up to the last whole token before the first text that ends an answer."""
    text = chat.decoded(sample.ids) if stop else ""
    found = [at for at in (text.find(end) for end in stop) if at >= 0]
    if not found:
        return sample
    _, ends = chat.decoded_places(sample.ids)
    kept = sum(end <= min(found) for end in ends)
    return Sample(sample.key, sample.ids[:kept], STOP_TEXT)
