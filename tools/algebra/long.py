"""One chain of many bakes, in as many ranks as it likes and in fewer."""

from __future__ import annotations

import json
import random
import statistics
import sys
from typing import Any

import yaml

from algebra.making import Place
from forgetting import cases
from forgetting.cases import Case
from forgetting.making import STOPS, document

BAKES = 20
FREE = 4096
LIMITS = (256, 64, 32)
"""Ranks of the chain's adapter; a bake on `tiny` has 16."""
FEWEST = 4
"""Questions of a bake."""
Row = dict[str, Any]


def made(place: Place, seed: int) -> Row:
    """Bake the chain once in all of its ranks and once under each limit, and hold them apart.

    Bakes before the first that is compressed are the same in all, and made once. Earlier targets
    are replayed and general answers held: without that `tiny` says nothing of sense after six.
    """
    chain = _cases(seed)
    found: Row = {}
    for limit in (FREE, *LIMITS):
        place.branch(f"in-{limit}")
        for case in chain:
            _bake(place, case, limit)
        right = {case.name: place.right(case) for case in chain}
        found[str(limit)] = {
            "right": right,
            "steps": [
                {"bake": bake.base_name, **told}
                for bake in place.repo._repo.bakes()
                if (told := bake.part("compressed"))
            ],
            "apart": {} if limit == FREE else place.apart(f"in-{FREE}", f"in-{limit}"),
        }
        print(f"{limit} ranks: {json.dumps(found[str(limit)])}", file=sys.stderr, flush=True)
    return found


def table(rows: list[Row]) -> list[str]:
    """Return the lines that say what a seed came to."""
    lines = [
        f"{BAKES} bakes in a row: KL of each target against the uncompressed chain, nats a token",
        f"{'seed':6}{'ranks':>6}{'median':>10}{'worst':>10}{'answers the same':>19}"
        f"{'checks right':>14}{'compressed':>12}{'worst step':>12}",
    ]
    for row in rows:
        for limit, one in row["found"].items():
            apart = one["apart"].values()
            kl = [target["kl"] for target in apart]
            same = f"{sum(t['same'] for t in apart)} of {sum(t['of'] for t in apart)}" if kl else ""
            steps = [max(bake["kl"] for bake in step["bakes"]) for step in one["steps"]]
            lines.append(
                f"{row['seed']:<6}{'all' if int(limit) == FREE else limit:>6}"
                f"{statistics.median(kl) if kl else 0:>10.2g}{max(kl, default=0):>10.2g}{same:>19}"
                f"{statistics.mean(one['right'].values()):>14.0%}{len(steps):>12}"
                f"{max(steps, default=0):>12.2g}"
            )
        for name in row["found"][str(FREE)]["right"]:
            told = "  ".join(
                f"{limit}: {row['found'][str(limit)]['apart'][name]['kl']:<8.2g}"
                for limit in LIMITS
            )
            lines.append(f"      {name:10}{told}")
    return lines


def _cases(seed: int) -> list[Case]:
    """Return a persona, and sets of facts behind it."""
    persona, *_ = cases.tiny(seed)
    rng, found = random.Random(f"long {seed}"), [persona]
    while len(found) < BAKES:
        case = cases._facts(rng, f"facts-{len(found)}")
        if len(case.written) >= FEWEST:  # some facts are of no use to ask for
            found.append(case)
    return found


def _bake(place: Place, case: Case, limit: int) -> None:
    asked = yaml.safe_load(document(case, "both", place.seed))
    asked["BAKE"].setdefault("model", {})["max_chain_rank"] = limit
    (place.repo.path / "input.yml").write_text(yaml.safe_dump(asked, sort_keys=False))
    place.repo.add("input.yml")
    place.repo.git("commit", "--quiet", "--allow-empty", "-m", f"Bake {case.name}")
    place.repo.run(allow=STOPS)
