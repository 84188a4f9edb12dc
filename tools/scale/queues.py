"""Jobs that arrive, wait, and are worked on: one event after the other, first come, first served.

A worker keeps the base of its last job. One that is free and has the right base is taken first;
any other loads it before. Random numbers come from a seed: the same inputs give the same tables.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DAY_S = 86_400.0
GRID = 24 * 60

Floats = np.ndarray


@dataclass(frozen=True, slots=True)
class Jobs:
    """When jobs arrive, in order, which base each is for, and how long it takes."""

    arrivals: Floats
    kinds: Floats
    services: Floats


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of all jobs."""

    waits: Floats
    ends: Floats
    busy_s: float
    """Of all workers together, loading included."""
    loads: int
    """How often a worker had to load a base."""
    area: float
    """Jobs in the system, integrated over time."""

    def wait(self, part: float) -> float:
        """Return how long a part of the jobs waits at most."""
        return float(np.quantile(self.waits, part))


def arrivals(a_day: float, days: float, peak_factor: float, random: np.random.Generator) -> Floats:
    """Draw when jobs arrive: a Poisson process whose rate goes up and down once a day.

    The rate is that of exp(k cos), which is never zero and whose peak over its mean is I0's. A day
    begins at its quietest.
    """
    times = np.linspace(0, days * DAY_S, int(days * GRID) + 1)
    rate = np.exp(-_steepness(peak_factor) * np.cos(2 * np.pi * times / DAY_S))
    total = np.concatenate([[0.0], np.cumsum((rate[1:] + rate[:-1]) / 2)])
    total *= a_day * days / total[-1]
    count = int(random.poisson(a_day * days))
    return np.interp(np.sort(random.uniform(0, a_day * days, count)), total, times)


def drawn(means: Floats, spread: float, random: np.random.Generator) -> Floats:
    """Draw lognormal seconds of so many means."""
    if spread == 0:
        return means
    sigma2 = np.log(1 + spread**2)
    return means * np.exp(random.normal(-sigma2 / 2, np.sqrt(sigma2), len(means)))


@dataclass(frozen=True, slots=True)
class Rule:
    """How workers and jobs find each other."""

    stay_warm: bool = True
    """Without, a job is a process of its own, which loads its base whatever was there."""
    patience_s: float = 0.0
    """A worker goes on with jobs of its base until another has waited so long; 0: in order."""


FIRST_COME = Rule()


def run(jobs: Jobs, workers: int, loads: Sequence[float], rule: Rule = FIRST_COME) -> Outcome:
    """Work off all jobs; `loads` is how long each base takes to load."""
    count = len(jobs.arrivals)
    at, kinds, services = (each.tolist() for each in (jobs.arrivals, jobs.kinds, jobs.services))
    waits, ends = np.zeros(count), np.zeros(count)
    idle: list[list[int]] = [[] for _ in range(len(loads) + 1)]
    idle[-1] = list(range(workers))  # they have no base yet
    ending: list[tuple[float, int, int]] = []  # when, worker, job
    waiting: list[deque[int]] = [deque() for _ in loads]
    busy_s, loaded, area, last, inside, free = 0.0, 0, 0.0, 0.0, 0, workers
    arrived = 0

    def begin(job: int, worker: int, kept: int, now: float) -> None:
        nonlocal busy_s, loaded
        kind = kinds[job]
        is_cold = kept != kind or not rule.stay_warm
        took = services[job] + (loads[kind] if is_cold else 0.0)
        loaded += is_cold
        busy_s += took
        waits[job] = now - at[job]
        ends[job] = now + took
        heapq.heappush(ending, (now + took, worker, job))

    while arrived < count or ending:
        if ending and (arrived == count or ending[0][0] <= at[arrived]):
            now, worker, done = heapq.heappop(ending)
            area += inside * (now - last)
            inside, last = inside - 1, now
            if any(waiting):
                longest = min((queue for queue in waiting if queue), key=lambda queue: queue[0])
                own = waiting[kinds[done]]
                is_patient = own and now - at[longest[0]] < rule.patience_s
                begin((own if is_patient else longest).popleft(), worker, kinds[done], now)
            else:
                idle[kinds[done]].append(worker)
                free += 1
            continue
        now = at[arrived]
        area += inside * (now - last)
        inside, last = inside + 1, now
        if free:
            kept = kinds[arrived] if idle[kinds[arrived]] else _other(idle)
            begin(arrived, idle[kept].pop(), kept, now)
            free -= 1
        else:
            waiting[kinds[arrived]].append(arrived)
        arrived += 1
    return Outcome(waits, ends, busy_s, loaded, area)


def smallest(
    jobs: Jobs, loads: Sequence[float], most_wait_s: float, rule: Rule = FIRST_COME
) -> tuple[int, Outcome]:
    """Return the fewest workers with which 95 % of the jobs wait no longer, and how it goes."""
    # With fewer workers than there is work, nobody needs to try.
    low = int(jobs.services.sum() / max(float(jobs.arrivals[-1]), 1.0))
    high = max(1, 2 * low)
    tried: dict[int, Outcome] = {}

    def is_enough(workers: int) -> bool:
        tried[workers] = run(jobs, workers, loads, rule)
        return tried[workers].wait(0.95) <= most_wait_s

    while not is_enough(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high, tried[high]


def erlang_wait(load: float, workers: int, mean_s: float) -> float:
    """Return the mean wait of M/M/c by Erlang's formula; `load` is in workers."""
    blocked = 1.0
    for n in range(1, workers + 1):
        blocked = load * blocked / (n + load * blocked)
    waits = blocked / (1 - load / workers * (1 - blocked))
    return waits * mean_s / (workers - load)


def _other(idle: list[list[int]]) -> int:
    """Return a base that free workers have: the one that most of them do."""
    return max(range(len(idle)), key=lambda kind: len(idle[kind]))


def _steepness(peak_factor: float) -> float:
    """Return k with exp(k) / I0(k) = the peak over the mean."""
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        is_less = np.exp(middle) / np.i0(middle) < peak_factor
        low, high = (middle, high) if is_less else (low, middle)
    return high
