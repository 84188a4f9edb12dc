"""Where a bake was taken from, as its block of a recipe says it: an address, at a commit."""

from __future__ import annotations

from collections.abc import Mapping

from bakery.repo.files import recipe
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.files.split import CLOSE
from bakery.yaml.writer import dump


def source_of(bake: RecordedBake) -> Mapping[str, str] | None:
    """Return where a bake was taken from, as `from` and `commit`; None: it was made where it is."""
    found = bake.part("adopted")
    return dict(found) if found else None


def with_source(bake: RecordedBake, source: Mapping[str, str]) -> RecordedBake:
    """Return a bake whose block says where it was taken from: once it says one, that stays."""
    if source_of(bake) is not None:
        return bake
    lines = "".join(f"      {line}\n" for line in dump({"adopted": dict(source)}).splitlines())
    at = bake.block.rfind(f"\n{CLOSE}") + 1
    return recipe.read(bake.id, bake.block[:at] + lines + bake.block[at:])
