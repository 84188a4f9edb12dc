"""How many workers each pool needs, and how long jobs wait for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scale import queues
from scale.inputs import Inputs
from scale.queues import FIRST_COME, Jobs, Outcome, Rule
from scale.work import BASES, Seconds, seconds

DAYS = {1: 5.0, 10: 2.0, 100: 1.0}
"""How long each load is simulated: as long as it takes to see enough jobs."""
SEED = 11
KINDS = ("CPU", "GPU")
STAGES = ("sampling", "training")


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool under a load, with some workers."""

    scale: int
    on: str
    stage: str
    days: float
    workers: int
    outcome: Outcome

    @property
    def busy(self) -> float:
        """The part of the workers' time that is work."""
        return self.outcome.busy_s / (self.workers * self.days * queues.DAY_S)

    @property
    def worker_hours(self) -> float:
        """Hours of work a day."""
        return self.outcome.busy_s / 3600 / self.days

    @property
    def loads(self) -> float:
        """How many bases were loaded a day."""
        return self.outcome.loads / self.days


def sized(scale: int, given: Inputs, rule: Rule = FIRST_COME) -> list[Pool]:
    """Return both pools of both kinds of machine, each as small as the waits allow."""
    found: list[Pool] = []
    for on in KINDS:
        jobs, loads, days = _first(on, scale, given)
        for stage in STAGES:
            if stage == STAGES[1]:
                jobs = _second(jobs, found[-1].outcome, on, given)
            workers, outcome = queues.smallest(jobs, loads, given["most_wait_s"], rule)
            found.append(Pool(scale, on, stage, days, workers, outcome))
    return found


def with_workers(on: str, scale: int, workers: int, given: Inputs) -> Pool:
    """Return the first pool of a kind of machine with so many workers, first come, first served."""
    jobs, loads, days = _first(on, scale, given)
    return Pool(scale, on, STAGES[0], days, workers, queues.run(jobs, workers, loads))


def _first(on: str, scale: int, given: Inputs) -> tuple[Jobs, list[float], float]:
    """Return the bakes of a kind of machine as jobs of its first pool, and what loading takes."""
    random = np.random.default_rng((SEED, scale, KINDS.index(on)))
    bases = [base for base in BASES if base.on == on]
    shares = np.array([given[f"share_{base.key}"] for base in bases])
    days = DAYS[scale]
    a_day = given["bakes_a_day"] * scale * shares.sum()
    arrivals = queues.arrivals(a_day, days, given["peak_factor"], random)
    kinds = random.choice(len(bases), len(arrivals), p=shares / shares.sum())
    all_seconds = [seconds(base, given) for base in bases]
    services = _services(kinds, [each.sampling for each in all_seconds], given, random)
    return Jobs(arrivals, kinds, services), [each.load for each in all_seconds], days


def _second(jobs: Jobs, first: Outcome, on: str, given: Inputs) -> Jobs:
    """Return the jobs of the second pool: they arrive as the first has done with them."""
    random = np.random.default_rng((SEED, len(jobs.arrivals), 2))
    means = [each.training for each in (_of(base.key, given) for base in BASES if base.on == on)]
    order = np.argsort(first.ends, kind="stable")
    services = _services(jobs.kinds, means, given, random)
    return Jobs(first.ends[order], jobs.kinds[order], services[order])


def _of(key: str, given: Inputs) -> Seconds:
    return seconds(next(base for base in BASES if base.key == key), given)


def _services(
    kinds: queues.Floats, means: list[float], given: Inputs, random: np.random.Generator
) -> queues.Floats:
    return queues.drawn(np.array(means)[kinds], given["spread"], random)
