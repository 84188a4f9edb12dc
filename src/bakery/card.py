"""The card: is the baked model the prompted one, on questions it never trained on?

Teacher = parent under the teacher prompt. Divergences are means over response tokens, in nats.
Where several targets are mixed there is a card of each, too: an anchor's says what has drifted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, TypeVar

from bakery.verdict import Covered, SideBySide, Verdict

Row = TypeVar("Row", SideBySide, Covered)

FEWEST_STIMULI = 20
"""Held-out stimuli under which no percentages are given."""

LITTLE_TO_BAKE = 0.01
"""Nats per token under which a prompt hardly changes what the parent says."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """Divergence from the teacher, and how often both would say the same token."""

    kl: float
    top1_agreement: float
    tokens: int
    worst: float = 0.0
    """The divergence at the token where it is largest."""


def together(parts: Sequence[Fidelity]) -> Fidelity | None:
    """Return the fidelity over the tokens of all parts; None where there are none."""
    tokens = sum(part.tokens for part in parts)
    if len(parts) < 2:
        return parts[0] if parts else None
    kl = sum(part.kl * part.tokens for part in parts) / tokens
    agreed = sum(part.top1_agreement * part.tokens for part in parts) / tokens
    return Fidelity(kl, agreed, tokens, max(part.worst for part in parts))


@dataclass(frozen=True, slots=True)
class Asked:
    """A held-out question, and how far its answers were and are from the teacher's."""

    question: str
    kl_before: float
    kl_after: float


@dataclass(frozen=True, slots=True)
class Card:
    """What a bake achieved. None where there is too little to say it."""

    held_out: int
    tokens: int
    kl_before: float | None
    kl_after: float | None
    gap_closed: float | None
    top1_agreement: float | None
    prompt_tokens_saved: float
    prompt_tokens_left: float = 0.0
    """What each request still sends before its question."""
    left_by_template: bool = False
    """Whether the template alone writes that."""
    cut_prompt: bool = False
    """Whether answers were given without the whole prompt: then nothing of it counts as saved."""
    furthest: tuple[Asked, ...] = ()
    """The questions whose answers are furthest from the teacher's, the furthest first."""
    targets: Mapping[str, Card] = field(default_factory=dict)
    """The card of each target by its full name, where several are mixed."""
    anchor: bool = False
    """Whether this is of a target that should stay as it was."""
    verdict: Verdict | None = None
    """Whether the prompt survived; None: nobody has looked."""
    side_by_side: tuple[SideBySide, ...] = ()
    """The questions that are answered worst, the worst first."""
    coverage: tuple[Covered, ...] = ()
    """The sentences of the prompt, in their order."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What a newer version writes beside: kept as it is."""

    @classmethod
    def made(
        cls,
        before: Fidelity | None,
        after: Fidelity | None,
        held_out: int,
        prompt_tokens_saved: float,
    ) -> Card:
        """Return the card of what was measured before and after.

        Ratios are only there where enough stimuli are held out, and where there was a gap to close.
        """
        if before is None or after is None:
            return cls(held_out, 0, None, None, None, None, prompt_tokens_saved)
        enough = held_out >= FEWEST_STIMULI
        return cls(
            held_out,
            after.tokens,
            before.kl,
            after.kl,
            1 - after.kl / before.kl if enough and before.kl >= LITTLE_TO_BAKE else None,
            after.top1_agreement if enough else None,
            prompt_tokens_saved,
        )

    @property
    def has_few(self) -> bool:
        """Whether too few questions are held out for percentages."""
        return self.held_out < FEWEST_STIMULI

    def renamed(self, names: Mapping[str, str]) -> Card:
        """Return the card with its targets called by other names."""
        return replace(self, targets={names.get(n, n): card for n, card in self.targets.items()})

    def as_data(self) -> dict[str, Any]:
        """Return the card as bake.json holds it: what there is not is left out."""
        data = {name: getattr(self, name) for name in _ALWAYS}
        if self.prompt_tokens_left:
            data["prompt_tokens_left"] = self.prompt_tokens_left
        if self.left_by_template:
            data["left_by_template"] = True
        if self.cut_prompt:
            data["cut_prompt"] = True
        if self.furthest:
            data["furthest"] = [asdict(asked) for asked in self.furthest]
        if self.targets:
            data["targets"] = {name: card.as_data() for name, card in self.targets.items()}
        if self.anchor:
            data["anchor"] = True
        if self.verdict is not None:
            data["verdict"] = self.verdict.as_data()
        for name in ("side_by_side", "coverage"):
            if rows := getattr(self, name):
                data[name] = [row.as_data() for row in rows]
        return {**data, **self.more}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Card:
        """Read a card of this version or any other; what an older one does not say is not known."""
        furthest, targets = data.get("furthest") or (), data.get("targets") or {}
        return cls(
            data.get("held_out") or 0,
            data.get("tokens") or 0,
            data.get("kl_before"),
            data.get("kl_after"),
            data.get("gap_closed"),
            data.get("top1_agreement"),
            data.get("prompt_tokens_saved") or 0.0,
            data.get("prompt_tokens_left") or 0.0,
            bool(data.get("left_by_template")),
            bool(data.get("cut_prompt")),
            tuple(Asked(**{key: asked[key] for key in _ASKED}) for asked in furthest),
            {name: cls.from_data(part) for name, part in targets.items()},
            bool(data.get("anchor")),
            Verdict.from_data(data.get("verdict")),
            tuple(_rows(SideBySide, data.get("side_by_side"))),
            tuple(_rows(Covered, data.get("coverage"))),
            {key: value for key, value in data.items() if key not in _NAMES},
        )


def _rows(kind: type[Row], data: Any) -> Iterator[Row]:
    """Yield the rows of a list, without keys that a newer version writes beside."""
    names = {one.name for one in fields(kind)}
    for row in data or ():
        yield kind(**{key: value for key, value in row.items() if key in names})


_ALWAYS = (
    "held_out", "tokens", "kl_before", "kl_after", "gap_closed", "top1_agreement",
    "prompt_tokens_saved",
)  # fmt: skip
_NAMES = frozenset(one.name for one in fields(Card)) - {"more"}
_ASKED = tuple(one.name for one in fields(Asked))
