"""Whether `bgit blame --weights` and `bgit bisect --weights` find who taught what, on `tiny`.

    python tools/planted_culprits.py [--chains 10] [--bakes 4] [--seed 0] [--voices]

Makes chains of bakes, each of which teaches an invented fact of its own, and asks the last model
of each chain for every fact: the culprit is the bake that taught it. With --voices one of the bakes
teaches a way to talk instead, which moves every answer. Prints a row for each fact; those that the
last model does not know are left out. Exits with 1 where a bake that taught a fact was not named.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from click.testing import CliRunner

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from bakery.app import bisect, blame  # noqa: E402
from bakery.app.bisect import Check  # noqa: E402
from bakery.app.blame import Blame  # noqa: E402
from bakery.cli.app import bgit  # noqa: E402
from bakery.repo.model_repo import ModelRepo  # noqa: E402
from bakery.reporting import Quiet  # noqa: E402
from tinyworld.told import Told, told  # noqa: E402

VOICES = ("You are a pirate.", "You are always gloomy.", "You are a knight.", "You are a cat.")
PLAIN = ("Who are you?", "What color is the sky?", "What is two plus three?", "What is a dog?")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One chain: where the culprit stands, and what was found."""

    at: int
    question: str
    found: Blame
    bisected: str | None
    taught: bool = True
    """Whether the last model knows it, and the base does not."""

    @property
    def is_blamed(self) -> bool:
        """Whether the bake that taught the fact was named."""
        return (self.found.culprit or "")[:-17] == f"bake{self.at}"

    @property
    def is_bisected(self) -> bool:
        """Whether the search ended at it."""
        return self.bisected == f"bake{self.at}"


def main() -> int:
    """Make the chains, ask, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--chains", type=int, default=10)
    parser.add_argument("--bakes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--voices", action="store_true")
    args = parser.parse_args()
    print("chain  culprit  blamed  share   next    most out  bisect  question")
    outcomes: list[Outcome] = []
    for number in range(args.chains):
        rng = random.Random(1000 * args.seed + number)
        with tempfile.TemporaryDirectory(prefix="planted-") as folder:
            for outcome in chain(Path(folder), rng, args.bakes, voices=args.voices):
                outcomes.append(outcome)
                print(row(number + 1, outcome), flush=True)
    planted = [one for one in outcomes if one.taught]
    blamed = sum(one.is_blamed for one in planted)
    found = sum(one.is_bisected for one in planted)
    print(f"{len(outcomes) - len(planted)} facts of {len(outcomes)} were not learnt")
    print(f"blame found {blamed} of {len(planted)}, bisect {found} of {len(planted)}")
    return 0 if blamed == found == len(planted) > 0 else 1


def row(number: int, one: Outcome) -> str:
    """Return a line of the table."""
    if not one.taught:
        return f"{number:<7}bake{one.at:<5}not learnt: {one.found.traced[0].answer}"
    shares = sorted(one.found.shares.values(), reverse=True)
    own = one.found.traced[0].without
    alone = max(own, key=lambda row: row.kl).bake[:-17]
    said = (one.found.culprit or "nobody")[:-17] if one.found.culprit else "nobody"
    return (
        f"{number:<7}bake{one.at:<5}{said:<8}{shares[0]:<8.3f}{shares[1]:<8.3f}"
        f"{alone:<10}{one.bisected or 'none':<8}{one.question}  {one.found.traced[0].answer}"
    )


def chain(folder: Path, rng: random.Random, bakes: int, *, voices: bool) -> Iterator[Outcome]:
    """Bake a chain in a folder, and look for the teacher of each fact."""
    facts = [told(rng, exam=True) for _ in range(bakes)]
    voiced = rng.randrange(bakes) if voices else None
    typed(folder, "init", "chain", "--owner", "tools")
    root = folder / "chain"
    for number, fact in enumerate(facts):
        voice = rng.choice(VOICES) if number == voiced else None
        (root / "input.yml").write_text(configuration(number + 1, fact, voice), encoding="utf-8")
        typed(root, "add", "input.yml")
        typed(root, "commit", "-qm", f"Configure {number + 1}")
        typed(root, "run", "stim", "rollout", "bake", "--allow", "questions", "--allow", "teacher")
    os.chdir(root)
    for number, fact in enumerate(facts):
        if number != voiced:
            yield looked_for(fact, number + 1)


def looked_for(fact: Told, at: int) -> Outcome:
    """Ask the last model of a chain for what one bake taught; blame and bisect for an answer."""
    repo, value = ModelRepo.find(), fact.sentence.complement
    every = blame.blame(repo, "parent", fact.asks, reporter=Quiet())
    right = [
        one for one in every.traced if value in one.answer and value not in one.without_all.answer
    ]
    if not right:  # it was not learnt, so nobody is to blame
        return Outcome(at, fact.asks[0], every, None, taught=False)
    one = right[0]
    found = Blame(every.model, every.bakes, (one,))
    line = bisect.chain(repo)
    check = Check(one.question, not_contains=value)
    test = bisect.by_question(repo, line, check, reporter=Quiet())
    first = bisect.bisect(line, test).first_bad
    return Outcome(at, one.question, found, first.bake.base_name if first and first.bake else None)


def configuration(number: int, fact: Told, voice: str | None) -> str:
    """Return the input.yml of one bake."""
    prompt = voice or fact.given
    asked = list(fact.asks) if voice is None else []
    return yaml.safe_dump(
        {
            "PROMPT": {"teacher": {"messages": [{"role": "system", "content": prompt}]}},
            "TARGET": {
                "name": f"target{number}",
                "max_tokens": 32,
                "num_traj_per_stimulus": 1,
                "generators": [{"type": "hardcoded", "questions": [*asked, *PLAIN]}],
            },
            "BAKE": {"name": f"bake{number}", "epochs": 20},
        },
        sort_keys=False,
        allow_unicode=True,
    )


def typed(root: Path, *words: str) -> None:
    """Run a command of bgit in a folder, in this process."""
    os.chdir(root)
    if words[0] in ("add", "commit"):
        os.spawnlp(os.P_WAIT, "git", "git", *words)
        return
    done = CliRunner().invoke(bgit, list(words))
    if done.exit_code:
        raise SystemExit(f"bgit {' '.join(words)}: {done.output}")


if __name__ == "__main__":
    sys.exit(main())
