"""The bakes of a chain told apart again, where older ones lie compressed in its adapter.

Each bake's own adapter has its slice as it was trained, so the sum of all slices, and every model
that the chain went through, can be had from the store.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bakery.app import chat, links, stored
from bakery.app.links import Link
from bakery.app.meaning import Meant
from bakery.errors import BakeryError
from bakery.repo.files import ranks
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import drafts


def opened(repo: ModelRepo | None, meant: Meant, *, reporter: Reporter) -> chat.Opened:
    """Load a model, with the slice of every bake where some of them are compressed in it."""
    chain = _chain(repo, meant)
    if repo is None or not chain:
        return chat.opened(meant, reporter=reporter)

    from bakery.engine.models import joined

    reporter.note(
        f"older bakes lie compressed in {meant.name}: the slices of all {len(chain)} are added up "
        "as they were trained, so an answer may differ from its own"
    )
    with drafts.draft(repo.store.root, "apart") as draft:
        taken = [joined.Taken(link.bake.id, stored.weights(repo, link.model)) for link in chain]
        folder = draft / "adapter"
        base = meant.base
        joined.apart(folder, taken, base=base.name, revision=base.revision)
        return chat.opened(replace(meant, folder=folder), reporter=reporter)


def earlier(repo: ModelRepo | None, meant: Meant, reporter: Reporter) -> list[tuple[str, Path]]:
    """Return the bakes that lie compressed in a model, oldest first, with their own adapters."""
    chain = _chain(repo, meant)
    if repo is None or not chain:
        return []
    apart = {bake_id for bake_id, _ in ranks.parts([link.bake for link in chain])}
    try:
        return [
            (link.bake.id, stored.weights(repo, link.model))
            for link in chain
            if link.bake.id not in apart
        ]
    except BakeryError as error:
        reporter.note(f"what the older bakes were is not measured: {error.message}")
        return []


def _chain(repo: ModelRepo | None, meant: Meant) -> tuple[Link, ...]:
    """Return all bakes of a model in which some lie compressed; nothing of any other."""
    if repo is None or meant.bake is None:
        return ()
    bakes, _ = show.ancestry(repo.lineage(), meant.bake)
    return links.of(repo.lineage(), meant.bake.model) if ranks.are_known(bakes) else ()
