"""The command line of the attacks: which campaigns, how many cases, and one table at the end."""

from __future__ import annotations

import argparse
import functools
import importlib
import json
import os
import pkgutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from tools.attack import workplace
from tools.attack.trial import deadline
from tools.attack.verdicts import Outcome, Report, table

NAMES = ("mutations", "endpoints", "kills", "templates")

SHORT = {"mutations": 80, "endpoints": 6, "kills": 4, "templates": 40}
"""How many cases a short form has, which takes seconds: what `make test` runs."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for. `count` None: a whole campaign."""

    count: int | None
    seed: int
    only: tuple[str, ...]
    case: str | None
    jobs: int


def main() -> None:
    """Run the campaigns that are named, else all, and end with 1 where any found something."""
    parser = argparse.ArgumentParser(prog="python -m tools.attack", description=__doc__)
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=", ".join(NAMES))
    parser.add_argument("--count", type=int, help="so many cases of each campaign")
    parser.add_argument("--short", action="store_true", help="a few of each: seconds, not minutes")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", default=[], metavar="KIND",
                        help="cases of this kind only (repeatable)")  # fmt: skip
    parser.add_argument("--case", help="this one case, as a failure names it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()
    if wrong := [name for name in given.campaigns if name not in NAMES]:
        parser.error(f"no campaign is called {wrong[0]}: there are {', '.join(NAMES)}")
    asked = Asked(given.count, given.seed, tuple(given.only), given.case, given.jobs)
    here = Path.cwd()
    with tempfile.TemporaryDirectory(prefix="bakery-attack-") as scratch:
        workplace.isolate(Path(scratch) / "home")
        reports = [
            reported(name, replace(asked, count=SHORT[name]) if given.short else asked, scratch)
            for name in given.campaigns or NAMES
        ]
        os.chdir(here)
    if given.as_json:
        print(json.dumps({"schema": 1, "campaigns": [report.as_data() for report in reports]}))
    else:
        print(f"\n{table(reports)}")
    sys.exit(any(report.failures for report in reports))


def reported(name: str, asked: Asked, scratch: str) -> Report:
    """Run a campaign; tell of each failure as it is found."""
    began, found = time.monotonic(), []
    for outcome in CAMPAIGNS[name](Path(scratch), asked):
        found.append(outcome)
        if outcome.has_failed:
            again = Report.of(name, [outcome], 0.0).again(outcome)
            print(f"{outcome.verdict}: {outcome.said}\n    {again}\n", file=sys.stderr)
        elif asked.case is not None:
            print(f"{outcome.verdict}: {outcome.said}", file=sys.stderr)
    return Report.of(name, found, time.monotonic() - began)


def _mutations(scratch: Path, asked: Asked) -> Iterable[Outcome]:
    from tools.attack import workers
    from tools.attack.mutations import campaign

    _load_libraries()
    count = campaign.COUNT if asked.count is None else asked.count
    cases = [asked.case] if asked.case else campaign.cases(count, seed=asked.seed, only=asked.only)
    found = _material(scratch)
    return workers.outcomes(
        cases, lambda folder: campaign.prepare(found, folder), processes=asked.jobs
    )


def _endpoints(scratch: Path, asked: Asked) -> Iterable[Outcome]:
    from tools.attack import workers
    from tools.attack.endpoints import campaign

    _load_libraries()
    cases = [asked.case] if asked.case else campaign.cases(asked.count, only=asked.only)
    found = _material(scratch)
    return workers.outcomes(
        cases,
        lambda folder: campaign.prepare(found, folder),
        processes=asked.jobs * campaign.WAITING,
    )


def _kills(scratch: Path, asked: Asked) -> Iterable[Outcome]:
    from tools.attack import workers
    from tools.attack.kills import campaign

    _load_libraries()
    cases = campaign.cases(asked.count, seed=asked.seed, only=asked.only)
    found = _material(scratch)
    return workers.outcomes(
        [asked.case] if asked.case else cases,
        lambda folder: campaign.prepare(found, folder),
        processes=asked.jobs,
    )


def _templates(_: Path, asked: Asked) -> Iterable[Outcome]:
    from tools.attack import templates, workers

    only = (asked.case.partition("/")[0],) if asked.case else asked.only
    every = {
        f"{shape.name}/{conversation}": (shape, conversation)
        for shape, conversation in templates.cases(only=only, seed=asked.seed)
    }
    cases = [asked.case] if asked.case else list(every)[: asked.count]

    def tried(case: str) -> Outcome:
        with deadline():
            found = templates.tried(*every[case])
        return Outcome(case, found.verdict, found.said)

    return workers.outcomes(cases, lambda _: tried, processes=asked.jobs)


@functools.cache
def _material(scratch: Path) -> workplace.Material:
    """Make what the campaigns begin from, once for all of them."""
    return workplace.material(scratch)


@functools.cache
def _load_libraries() -> None:
    """Load once what every process needs: those that are forked have it, too."""
    import torch

    import bakery

    ours = [module.name for module in pkgutil.walk_packages(bakery.__path__, "bakery.")]
    for name in ("openai", "peft", "transformers", *ours):
        importlib.import_module(name)
    torch.set_num_threads(1)


CAMPAIGNS: dict[str, Callable[[Path, Asked], Iterable[Outcome]]] = {
    "mutations": _mutations,
    "endpoints": _endpoints,
    "kills": _kills,
    "templates": _templates,
}

if __name__ == "__main__":
    main()
