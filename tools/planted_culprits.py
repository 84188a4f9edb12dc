"""Whether `bgit blame --weights` and `bgit bisect --weights` find who taught what, on `tiny`.

    python tools/planted_culprits.py [--chains 10] [--bakes 4] [--seed 0] [--voices] [--out FILE]

Makes chains of bakes, each of which teaches an invented fact of its own, and asks the last model
of each chain for every fact: the culprit is the bake that taught it. With --voices one of the bakes
teaches a way to talk instead, which moves every answer. Prints a row for each fact, with the bake
that each rule names; facts that the last model does not know are left out. --out appends what
`blame --json` says of each. Exits with 1 where a bake that taught a fact was not named.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from click.testing import CliRunner

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tools"))

from bakery.app import bisect, blame  # noqa: E402
from bakery.app.bisect import Check  # noqa: E402
from bakery.app.blame import Blame, Without  # noqa: E402
from bakery.cli.app import bgit  # noqa: E402
from bakery.repo.model_repo import ModelRepo  # noqa: E402
from bakery.reporting import Quiet  # noqa: E402
from tinyworld.told import Told, told  # noqa: E402

VOICES = ("You are a pirate.", "You are always gloomy.", "You are a knight.", "You are a cat.")
RULES: dict[str, Callable[[Without], Any]] = {
    "mean": lambda row: row.kl,
    "worst": lambda row: row.worst,
    "changed": lambda row: (not row.is_same, row.kl),
}
"""By what of the answer without a bake that bake may be named."""

PLAIN = ("Who are you?", "What color is the sky?", "What is two plus three?", "What is a dog?")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One fact of a chain: which bake taught it, and what was found."""

    chain: int
    at: int
    question: str
    found: Blame
    bisected: str | None
    taught: bool = True
    """Whether the last model knows it, and the base does not."""

    def named(self, rule: str) -> str:
        """Return the bake that a rule names."""
        return max(self.found.traced[0].without, key=RULES[rule]).bake[:-17]

    @property
    def culprit(self) -> str:
        """The bake that taught it."""
        return f"bake{self.at}"

    @property
    def is_blamed(self) -> bool:
        """Whether `blame` names it."""
        return (self.found.culprit or "")[:-17] == self.culprit

    @property
    def is_bisected(self) -> bool:
        """Whether the search ended at it."""
        return self.bisected == self.culprit


def main() -> int:
    """Make the chains, ask, and print what was found."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--chains", type=int, default=10)
    parser.add_argument("--bakes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--voices", action="store_true")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    print("chain  culprit  " + "".join(f"{rule:<9}" for rule in RULES) + "bisect  question")
    outcomes: list[Outcome] = []
    for number in range(1, args.chains + 1):
        rng = random.Random(1000 * args.seed + number - 1)
        with tempfile.TemporaryDirectory(prefix="planted-") as folder:
            for outcome in chain(Path(folder), number, rng, args.bakes, voices=args.voices):
                outcomes.append(outcome)
                print(row(outcome), flush=True)
                if args.out:
                    kept(args.out, outcome)
    return summed_up(outcomes)


def row(one: Outcome) -> str:
    """Return a line of the table."""
    answer = one.found.traced[0].answer
    if not one.taught:
        return f"{one.chain:<7}{one.culprit:<9}not learnt: {answer}"
    named = "".join(f"{one.named(rule):<9}" for rule in RULES)
    return (
        f"{one.chain:<7}{one.culprit:<9}{named}{one.bisected or 'none':<8}{one.question}  {answer}"
    )


def kept(path: Path, one: Outcome) -> None:
    """Append what was found to a file."""
    data = {
        "chain": one.chain,
        "culprit": one.culprit,
        "taught": one.taught,
        "bisected": one.bisected,
        "blame": one.found.as_data(),
    }
    with path.open("a", encoding="utf-8") as out:
        out.write(json.dumps(data) + "\n")


def summed_up(outcomes: list[Outcome]) -> int:
    """Print how many facts, and how many whole chains, were found; return the exit code."""
    planted = [one for one in outcomes if one.taught]
    print(f"{len(outcomes) - len(planted)} facts of {len(outcomes)} were not learnt")
    found = {
        f"by {rule}": [one for one in planted if one.named(rule) == one.culprit] for rule in RULES
    }
    found["blame"] = [one for one in planted if one.is_blamed]
    found["bisect"] = [one for one in planted if one.is_bisected]
    chains = {one.chain for one in planted}
    for name, right in found.items():
        whole = len(chains - {one.chain for one in planted if one not in right})
        facts = f"{len(right)} of {len(planted)} facts"
        print(f"{name:<11}{facts}, all of {whole} of {len(chains)} chains")
    return 0 if planted and all(one.is_blamed and one.is_bisected for one in planted) else 1


def chain(
    folder: Path, chain: int, rng: random.Random, bakes: int, *, voices: bool
) -> Iterator[Outcome]:
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
            yield looked_for(fact, chain, number + 1)


def looked_for(fact: Told, chain: int, at: int) -> Outcome:
    """Ask the last model of a chain for what one bake taught; blame and bisect for an answer."""
    repo, value = ModelRepo.find(), fact.sentence.complement
    every = blame.blame(repo, "parent", fact.asks, reporter=Quiet())
    right = [
        one for one in every.traced if value in one.answer and value not in one.without_all.answer
    ]
    if not right:  # it was not learnt, so nobody is to blame
        return Outcome(chain, at, fact.asks[0], every, None, taught=False)
    one = right[0]
    found = Blame(every.model, every.bakes, (one,))
    line = bisect.chain(repo)
    check = Check(one.question, not_contains=value)
    test = bisect.by_question(repo, line, check, reporter=Quiet())
    first = bisect.bisect(line, test).first_bad
    name = first.bake.base_name if first and first.bake else None
    return Outcome(chain, at, one.question, found, name)


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
