"""The parts of the README beside exported weights that both doors write.

What others wrote stands in it as text that is indented by four: nothing in it can end that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from bakery.card import Card
from bakery.harmless import harmless
from bakery.verdict import Covered, SideBySide

LONGEST, LONGEST_ANSWER = 20_000, 2_000
"""Characters of a prompt, and of an answer."""

_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,40}")


def front_matter(
    *, base: str | None, library: str, is_merged: bool, licence: str | None = None
) -> str:
    """Return what a hub reads of a model: `base` None where it has no name there."""
    relation = "finetune" if is_merged else "adapter"
    tags = ["prompt-baking", "context-distillation", *([] if is_merged else ["lora"])]
    lines = [
        *([f"base_model: {base}", f"base_model_relation: {relation}"] if base else []),
        f"library_name: {library}",
        "pipeline_tag: text-generation",
        *([f"license: {licence}"] if licence and _LICENCE.fullmatch(licence) else []),
        "tags:",
        *(f"- {tag}" for tag in tags),
    ]
    return "\n".join(["---", *lines, "---"])


def table(rows: Mapping[str, object]) -> str:
    """Return labels and values; what there is not is left out."""
    lines = [f"| {label} | {value} |" for label, value in rows.items() if value not in (None, "")]
    return "\n".join(["| | |", "|---|---|", *lines])


def figures(card: Card) -> dict[str, str | int | None]:
    """Return the figures of a card; percentages only where enough was held out."""
    few = card.has_few
    return {
        "KL to the prompted teacher": divergence(card),
        "gap closed": None if few else _share(card.gap_closed),
        "same first choice": None if few else _share(card.top1_agreement, " of tokens"),
        "questions held out to measure it": card.held_out or None,
        "prompt tokens saved": None
        if card.cut_prompt
        else f"{card.prompt_tokens_saved:.0f} per request",
    }


def divergence(card: Card) -> str | None:
    """Return how far a bake was and is from its teacher."""
    if card.kl_after is None:
        return None
    before = "?" if card.kl_before is None else f"{card.kl_before:.4g}"
    return f"{before} before, {card.kl_after:.4g} after (nats per token)"


def _share(value: float | None, of: str = "") -> str | None:
    return None if value is None else f"{100 * value:.1f} %{of}"


def held(card: Card) -> Iterator[str]:
    """Yield whether a bake holds, and the answers that show it; nothing where nobody looked."""
    if card.verdict is not None:
        yield f"## It {card.verdict.word}"
        yield from [quoted(card.verdict.reason)] if card.verdict.reason else []
    if card.side_by_side:
        yield "## What it says"
        yield (
            "The questions that it answers worst, each as the base answers it, as the base with "
            "the prompt does, and as this model does without one:"
        )
        yield from (_asked(row) for row in card.side_by_side)
    if card.coverage:
        yield "## What of the prompt was learnt"
        yield (
            "Each sentence with the share of the gap to the prompted model that was closed on the "
            "questions that depend on it:"
        )
        yield covered(card.coverage)


def _asked(row: SideBySide) -> str:
    said = [row.question, ("base", row.base), ("prompted", row.prompted), ("baked", row.baked)]
    lines = [harmless(str(said[0]))]
    for side, answer in said[1:]:
        first, *more = harmless(_cut(str(answer), LONGEST_ANSWER)).split("\n")
        lines += [f"  {side:<9} {first}", *(f"  {'':<9} {line}" for line in more)]
    return _indented("\n".join(lines))


def covered(rows: Sequence[Covered]) -> str:
    """Return the sentences of a prompt, each behind what was learnt of it."""
    lines = []
    for row in rows:
        share = "" if row.gap_closed is None else f"{100 * row.gap_closed:.0f} %"
        told = share or ("no gap" if row.asked else "not asked")
        lines.append(f"{told:>9}  {' '.join(harmless(str(row.sentence)).split())}")
    return _indented("\n".join(lines))


def quoted(text: str) -> str:
    """Return a text as a block that nothing in it can end: indented by four."""
    return _indented(harmless(_cut(text, LONGEST)))


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.splitlines()) or "    (nothing)"


def _cut(text: str, most: int) -> str:
    more = len(text) - most
    return text if more <= 0 else f"{text[:most]}… ({more:,} more characters)"
