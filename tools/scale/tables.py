"""The tables of docs/scale.md, as text: what is counted with, and what comes out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from scale import hub, pools, queues, storing
from scale.inputs import Inputs
from scale.pools import Pool
from scale.queues import Rule
from scale.work import BASES, Base, rates, seconds

HOURS, DAYS_A_MONTH = 24, 30
FEW = 4
"""As many workers are tried one by one."""
PATIENCE_S = 300.0
"""How long jobs of another base wait for a worker that has work for its own."""
EACH = 100_000
"""The other way to read it: a thousand bakes a day in every repository."""
GB, TB = 1e9, 1e12


@dataclass(frozen=True, slots=True)
class Load:
    """Pools that keep the waits under a load."""

    name: str
    scale: int
    pools: list[Pool]

    def of(self, on: str) -> list[Pool]:
        """Return both pools of a kind of machine."""
        return [pool for pool in self.pools if pool.on == on]


def text(given: Inputs) -> str:
    """Return all tables."""
    some = [
        Load(name, scale, pools.sized(scale, given, rule)) for name, scale, rule in _loads(given)
    ]
    parts = (
        inputs(given),
        one_bake(given),
        waits(given),
        sizes(some),
        edge(some, given),
        stored(given),
        network(given, some[0].pools),
        the_hub(given),
        cost(given, some),
    )
    return "\n\n".join("\n".join(line.rstrip() for line in part) for part in parts)


def _loads(given: Inputs) -> Iterator[tuple[str, int, Rule]]:
    """Yield what is simulated: its name, how many times the load, and the rule of the pools."""
    for scale in pools.DAYS:
        name = f"{given['bakes_a_day'] * scale:,.0f}"
        yield name, scale, queues.FIRST_COME
        if scale == 1:
            yield f"{name}, new processes", scale, Rule(stay_warm=False)
    yield f"{name}, own base first", scale, Rule(patience_s=PATIENCE_S)


def inputs(given: Inputs) -> Iterator[str]:
    """What is counted with, and where it is from."""
    yield f"{'what is counted with':<30}{'from':<20}"
    for one in given.all.values():
        value = f"{one.value:.3g}" if one.value >= 1e7 else f"{one.value:,.10g}"
        source = one.source.rpartition("/")[2]
        yield f"{one.name:<17}{value:>11}  {source:<20} {one.unit}".rstrip()


def one_bake(given: Inputs) -> Iterator[str]:
    """Seconds and bytes of a bake on each base."""
    yield f"{'':22}{'seconds of a worker':^27}{'tokens a s':^16}{'MB':^15}"
    yield (
        f"{'a bake on':<14}{'on':<8}{'loading':>9}{'sampling':>9}{'training':>9}"
        f"{'sampled':>8}{'learnt':>8}{'adapter':>8}{'record':>7}"
    )
    positions = int(given["answers"] * given["answer_tokens"])
    for base in BASES:
        took = seconds(base, given)
        sampled, learnt, marks = _rates(base, given)
        yield (
            f"{base.name:<14}{base.on + marks:<8}{took.load:>9.0f}{took.sampling:>9.0f}"
            f"{took.training:>9.0f}{sampled:>8}{learnt:>8}"
            f"{base.adapter_bytes(int(given['rank'])) / 1e6:>8.0f}"
            f"{base.record_bytes(positions) / 1e6:>7.0f}"
        )
    if not all(rates(base, given)[2] for base in BASES if base.on == "GPU"):
        yield "* worked out, not measured: there is no benchmarks/results/gpu.json of a GPU yet"


def _rates(base: Base, given: Inputs) -> tuple[str, str, str]:
    if base.on == "CPU":
        return "", "", ""
    sampled, learnt, is_measured = rates(base, given)
    return f"{sampled:,.0f}", f"{learnt:,.0f}", "" if is_measured else " *"


def waits(given: Inputs) -> Iterator[str]:
    """How long jobs wait for a pool of one worker, two, and so on."""
    head = f"{'workers':>8}{'busy':>8}{'p50':>12}{'p95':>12}{'most':>12}"
    yield f"{'waiting to be sampled, s':<26}{head}"
    for on in pools.KINDS:
        for workers in range(1, FEW + 1):
            pool = pools.with_workers(on, 1, workers, given)
            wait = pool.outcome.wait
            yield (
                f"{on:<26}{pool.workers:>8}{min(pool.busy, 1):>8.0%}{wait(0.5):>12,.0f}"
                f"{wait(0.95):>12,.0f}{wait(1.0):>12,.0f}"
            )


def sizes(some: list[Load]) -> Iterator[str]:
    """The smallest pools that keep the waits, by load."""
    yield f"{'smallest pools':<28}{'CPU':^26}{'GPU':^26}".rstrip()
    yield f"{'bakes a day':<28}" + f"{'sample':>7}{'train':>6}{'busy':>6}{'p95, s':>7}" * 2
    for load in some:
        yield f"{load.name:<28}" + "".join(_both(load.of(on)) for on in pools.KINDS)


def edge(some: list[Load], given: Inputs) -> Iterator[str]:
    """What one worker fewer than enough does to the largest pool, and what its rule does."""
    last = some[-2]
    first = last.of("GPU")[0]
    fewer = pools.with_workers("GPU", last.scale, first.workers - 1, given)
    yield (
        f"{last.name + ' a day, GPUs for sampling':<34}{'workers':>8}{'p50, s':>9}{'p95, s':>9}"
        f"{'bases loaded':>14}"
    )
    rows = (("one fewer than enough", fewer), ("enough", first))
    for name, pool in (*rows, ("own base first", some[-1].of("GPU")[0])):
        wait = pool.outcome.wait
        yield (
            f"{name:<34}{pool.workers:>8}{wait(0.5):>9,.0f}{wait(0.95):>9,.0f}{pool.loads:>14,.0f}"
        )


def _both(found: list[Pool]) -> str:
    first, second = found
    busy = sum(p.busy * p.workers for p in found) / sum(p.workers for p in found)
    longest = max(p.outcome.wait(0.95) for p in found)
    return f"{first.workers:>7}{second.workers:>6}{busy:>6.0%}{longest:>7.0f}"


def stored(given: Inputs) -> Iterator[str]:
    """Bytes of weights, by how bakes are spread over repositories."""
    yield (
        f"{'weights in the bucket, TB':<32}{'longest':>8}{'as it':>8}{'slices':>8}{'own':>8}"
        f"{'own in':>8}{'times':>8}"
    )
    yield f"{'':<32}{'chain':>8}{'is':>8}{'once':>8}{'alone':>8}{'bf16':>8}{'less':>8}"
    for skewed, how in ((False, "bakes spread evenly"), (True, "the n-th repository 1/n")):
        for days, when in ((30, "a month"), (365, "a year")):
            found = storing.bakes(days, given, skewed=skewed)
            yield (
                f"{how + ', ' + when:<32}{found.longest:>8,}{found.composed / TB:>8.1f}"
                f"{found.sliced / TB:>8.1f}{found.own / TB:>8.1f}{found.halved / TB:>8.1f}"
                f"{found.composed / found.halved:>7.1f}x"
            )


def network(given: Inputs, some: list[Pool]) -> Iterator[str]:
    """Bytes over the network in a day."""
    bakes = given["bakes_a_day"]
    weights = partial(storing.pushed, given)
    beside = given["beside_bytes"] + given["data_bytes"]
    yield f"{'over the network, GB a day':<44}{'evenly':>12}{'1/n':>12}"
    each = [bakes * (weights(skewed=skewed) + beside) for skewed in (False, True)]
    yield _line("pushed, with questions and answers", [one / GB for one in each])
    yield _line(
        f"pulled, by {given['readers']:.0f} clones a bake",
        [one * given["readers"] / GB for one in each],
    )
    workers = sum(pool.workers for pool in some)
    new = given["new_workers"] * workers * sum(b.file_bytes for b in BASES if b.on == "GPU")
    yield _line("bases, to new workers", [new / GB] * 2)
    loaded = sum(given[f"share_{base.key}"] * bakes * base.file_bytes for base in BASES)
    yield _line("bases, if every bake fetched its own", [loaded / GB] * 2)
    positions = int(given["answers"] * given["answer_tokens"])
    record = sum(
        given[f"share_{base.key}"] * bakes * base.record_bytes(positions) for base in BASES
    )
    yield _line("teacher's records, if they travelled", [record / GB] * 2)


def _line(name: str, values: list[float]) -> str:
    return f"{name:<44}" + "".join(f"{value:>12,.1f}" for value in values)


def the_hub(given: Inputs) -> Iterator[str]:
    """When limits of the hub are reached."""
    yield f"{'one repository of the hub for all':<44}{'limit':>20}{'after, days':>14}"
    for one in hub.one_repository(given):
        yield f"{one.what:<44}{one.limit:>20}{one.days:>14,.1f}"
    yield ""
    yield f"{'calls in the busiest five minutes':<44}{'API':>8}{'files':>8}  one token of"
    for scale in (1, 10, 100):
        api, files = hub.calls(given, scale)
        load = f"{given['bakes_a_day'] * scale:,.0f} bakes a day"
        yield f"{load:<44}{api:>8,.0f}{files:>8,.0f}  {hub.enough(api, files)}"


def cost(given: Inputs, some: list[Load]) -> Iterator[str]:
    """Dollars a month: workers that always run, a bucket after a year, and what leaves it."""
    yield (
        f"{'$ a month (prices: above)':<28}{'GPUs':>10}{'CPUs':>9}{'bucket':>11}{'egress':>11}"
        f"{'a bake':>9}"
    )
    for load in some:
        workers = {on: float(sum(p.workers for p in load.of(on))) for on in pools.KINDS}
        yield _cost(load.name, load.scale, workers, given)
    hours = {on: sum(p.worker_hours for p in some[0].of(on)) for on in pools.KINDS}
    peak = {on: each / HOURS * EACH * given["peak_factor"] for on, each in hours.items()}
    yield _cost(f"{given['bakes_a_day']:,.0f} in each, by rule", EACH, peak, given)


def _cost(name: str, scale: int, workers: dict[str, float], given: Inputs) -> str:
    month = HOURS * DAYS_A_MONTH
    gpus = workers["GPU"] * month * given["gpu_hour"]
    cpus = workers["CPU"] * month * given["cpu_hour"]
    pushed = storing.pushed(given, skewed=True) * given["bakes_a_day"] * scale
    bucket = pushed * 365 / TB * given["tb_month"]
    egress = pushed * DAYS_A_MONTH * given["readers"] / TB * given["egress_tb"]
    bakes = given["bakes_a_day"] * scale * DAYS_A_MONTH
    return (
        f"{name:<28}{_dollars(gpus):>10}{_dollars(cpus):>9}{_dollars(bucket):>11}"
        f"{_dollars(egress):>11}{(gpus + cpus + bucket + egress) / bakes:>9.2f}"
    )


def _dollars(amount: float) -> str:
    """Return three digits of it: no input has more."""
    for unit, name in ((1e9, " bn"), (1e6, " m"), (1e3, " k")):
        if amount >= unit:
            return f"{amount / unit:.3g}{name}"
    return f"{amount:.3g}"
