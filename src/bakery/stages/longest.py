"""How many tokens a pair may have, and who says so."""

from __future__ import annotations

from dataclasses import dataclass

from bakery.shaping import TrainingSettings


@dataclass(frozen=True, slots=True)
class Limit:
    """The most tokens a pair may have, and who says so."""

    tokens: int
    name: str
    raised: str
    """What a person does about it."""


def limit_of(settings: TrainingSettings, context: int) -> Limit:
    """Return what a configuration allows, or the model's `context` where that is less."""
    if settings.max_length is not None and settings.max_length <= context:
        return Limit(settings.max_length, "BAKE.data.max_length", "raise it")
    return Limit(
        context, "the context of the base", "lower TARGET.max_tokens, or shorten the prompt"
    )
