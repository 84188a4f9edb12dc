"""What the library's trainer settles and fits before its first step.

Laws give the values that nobody said (`distil.settings.settled`); some of them go by how the
adapter starts, so they are settled again where a fit turns out to be of no use.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peft import PeftModel

from bakery.distil.settings import settled
from bakery.engine.loss.readout import Readout
from bakery.engine.text.views import Pair
from bakery.engine.training import first_weights, start
from bakery.engine.training.rounds import Rounds
from bakery.reporting import Reporter
from bakery.settings.config import BakeryConfig


class Beginning:
    """How one adapter starts, and what that settles. The configuration is changed in place."""

    def __init__(
        self, model: PeftModel, args: BakeryConfig, rounds: Rounds, *, is_taught: bool = False
    ) -> None:
        """`is_taught`: by another model, whose layers are not the student's."""
        self._model, self._args = model, args
        self._base = settled.base_of(model.config)
        self.is_asked = settled.fits(args)
        """Whether the adapter is to start fitted, and has not started yet."""
        why = "another model teaches it" if is_taught else None
        self.impossible = (why or _impossible(model, args)) if self.is_asked else None
        """Why it cannot, as far as is known before the first answer."""
        self.settled: dict[str, Any] = settled.training(
            args,
            self._base,
            rows=len(rounds),
            answers=rounds.answers,
            is_fitted=self.is_asked and self.impossible is None,
        )
        """What nobody said, and what it is."""

    def fit(self, readout: Readout, pairs: Sequence[Pair]) -> str | None:
        """Fit the first weights; return why the adapter stays as it was instead, if it does."""
        asked = settled.first_weights(self._args, self._base)
        given = self._model, readout, pairs, asked
        return start.fitted(*given, adapter=self._model.active_adapter)

    def begin(self, why: str | None, reporter: Reporter) -> None:
        """Go by how the adapter starts (None: fitted), and write that down."""
        changed = self._go_by(why)
        self.is_asked = False
        if self._args.process_index == 0:
            out = self._args.out
            out.mkdir(parents=True, exist_ok=True)
            for note in start.written(out, why):
                reporter.note(note)
            if changed:
                reporter.note(settled.sentence(changed))

    def go_on(self, folder: Path) -> None:
        """Go by how the run started whose checkpoint lies in a folder."""
        self._go_by(start.why_random(folder))

    def _go_by(self, why: str | None) -> dict[str, Any]:
        if why is None or self.impossible is not None:
            return {}
        changed = settled.start_at_random(self._args, self._base, self.settled)
        self.settled |= changed
        return changed


def _impossible(model: PeftModel, args: BakeryConfig) -> str | None:
    if args.on_policy:
        return "the student answers itself"
    if args.in_parts:
        return "its weights are in parts"
    return first_weights.refused(model, model.active_adapter)
