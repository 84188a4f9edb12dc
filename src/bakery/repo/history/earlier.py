"""The sections of earlier bakes as they were written: what a `template` may start from."""

from __future__ import annotations

from collections.abc import Sequence

from bakery import schema
from bakery.records import given_name
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.git import Git
from bakery.repo.history import replays


def sections(git: Git, bakes: Sequence[RecordedBake]) -> schema.Sections:
    """Return the sections of bakes, oldest first, by short and by full names; the newest wins.

    Read from the input.yml that each was baked from, which git keeps. What this clone has not
    got, or what no version reads any more, is left out.
    """
    found = schema.Sections()
    for bake, blob in zip(bakes, git.blobs([bake.input_blob for bake in bakes]), strict=True):
        if blob is None:
            continue
        replay = replays.of(bake)
        text = replays.renamed(blob.text, replay.ids) if replay else blob.text
        targets, baked = schema.written(text, found)
        full = {given_name(target["name"]): target["name"] for target in bake.data["targets"]}
        for name, section in targets.items():
            found.targets[name] = section
            if name in full:
                found.targets[full[name]] = section
        if baked is not None:
            for name in (bake.base_name, bake.name):
                found.bakes[name] = baked
                found.full_names[name] = full
    return found
