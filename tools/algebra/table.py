"""Seeds in, tables out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from algebra import long

Row = dict[str, Any]


def text(rows: Sequence[Row]) -> str:
    """Return all tables."""
    tables = (_merged, _against, _moved, long.table)
    names = (("merged", "voices"), ("against",), ("moved",), ("long",))
    parts = [[row for row in rows if row["part"] in own] for own in names]
    return "\n\n".join("\n".join(of(own)) for of, own in zip(tables, parts, strict=True) if own)


def _merged(rows: Sequence[Row]) -> Iterator[str]:
    yield f"{'seed':5}{'pair':19}{'how':9}{'rank':>5}  checks right, before → merged (KL)"
    for row in rows:
        for one in row["found"]:
            targets = "; ".join(
                f"{name} {kept['before']:.0%} → {kept['right']:.0%} ({kept['kl']:.2g})"
                for name, kept in one["targets"].items()
            )
            yield f"{row['seed']:<5}{one['pair']:19}{one['how']:9}{one['rank']:>5}  {targets}"


def _against(rows: Sequence[Row]) -> Iterator[str]:
    yield "two names on two branches: checks of ours, of theirs"
    for row in rows:
        one = row["found"]
        refused = "refused" if one["refused"] else "NOT REFUSED"
        won = "; ".join(
            f"--{side}: {one[side]['right'][0]:.0%}, {one[side]['right'][1]:.0%}"
            for side in ("ours", "theirs")
        )
        yield f"{row['seed']:<5}{refused}, {len(one['contradictions'])} questions; {won}"


def _moved(rows: Sequence[Row]) -> Iterator[str]:
    yield "against the chain that always had it (picked), or never (left out): nats a token"
    for row in rows:
        for what in ("picked", "left out"):
            told = "; ".join(
                f"{name} {one['kl']:.2g} ({one['same']} of {one['of']} answers the same)"
                for name, one in row["found"][what].items()
            )
            right = ", ".join(
                f"{name} {share:.0%}" for name, share in row["found"]["right"][what].items()
            )
            anew = ", ".join(row["found"]["anew"]) if what == "left out" else ""
            more = f"; baked anew: {anew}" if anew else ""
            more += "; refused, then forced" * (what == "picked" and row["found"]["refused"])
            yield f"{row['seed']:<5}{what:9} {told}; right: {right}{more}"
