"""`make scale`: the page says what the program prints, and the program obeys what is known."""

from __future__ import annotations

import json
from types import ModuleType

import numpy as np
import pytest

from bakery import costs, defaults
from bakery.repo.plan import chains

pytestmark = pytest.mark.usefixtures("tools")


@pytest.fixture(scope="module")
def queues(tools) -> ModuleType:
    from scale import queues

    return queues


@pytest.fixture(scope="module")
def inputs(tools) -> ModuleType:
    from scale import inputs

    return inputs


@pytest.fixture(scope="module")
def work(tools) -> ModuleType:
    from scale import work

    return work


def memoryless(queues, *, rate: float, count: int = 60_000, seed: int = 5):
    """Return jobs of M/M: exponential gaps, exponential lengths of one second on average."""
    random = np.random.default_rng(seed)
    times = np.cumsum(random.exponential(1 / rate, count))
    return queues.Jobs(times, np.zeros(count, dtype=int), random.exponential(1.0, count))


# It simulates seven loads: some seconds.
def test_the_page_has_the_tables_that_the_program_prints(inputs):
    from scale import __main__ as program
    from scale import tables

    page = program.PAGE.read_text(encoding="utf-8")
    said = tables.text(inputs.read())
    assert max(map(len, said.splitlines())) <= 80
    assert program.written(page, said) == page, "run `make scale SCALE=--write`"


def test_what_the_page_says_in_words_is_what_its_tables_say(inputs, work):
    from scale import __main__ as program
    from scale import hub, pools, storing

    given = inputs.read()
    page = " ".join(program.PAGE.read_text(encoding="utf-8").split())
    even, skewed = (storing.bakes(365, given, skewed=skewed) for skewed in (False, True))
    assert f"that is {even.composed / 1e12:.0f} to {skewed.composed / 1e12:.0f} TB" in page
    assert f"the bakes' own ranks are {even.own / 1e12:.0f}." in page
    assert f"bakes {skewed.longest / 365:.0f} times a day" in page
    assert f"is {work.BASES[-1].adapter_bytes(int(given['rank'])) / 1e6:.0f} MB in fp32" in page
    assert f"one token: {hub.calls(given, 10)[0]:,.0f} calls" in page
    assert hub.one_repository(given)[0].days == 1.5
    workers = dict.fromkeys(pools.KINDS, 0)
    for pool in pools.sized(1, given):
        workers[pool.on] += pool.workers
    assert workers == {"GPU": 3, "CPU": 6}  # "Three GPUs and six cores"


@pytest.mark.parametrize(("workers", "load"), [(1, 0.5), (1, 0.8), (2, 1.5), (8, 6.5)])
def test_the_mean_wait_is_erlangs(queues, workers, load):
    outcome = queues.run(memoryless(queues, rate=load), workers, [0.0])
    expected = queues.erlang_wait(load, workers, 1.0)
    assert outcome.waits.mean() == pytest.approx(expected, rel=0.12)
    assert outcome.busy_s / outcome.ends.max() / workers == pytest.approx(load / workers, rel=0.03)


def test_erlangs_formula_is_that_of_a_single_queue_for_one_worker(queues):
    assert queues.erlang_wait(0.8, 1, 3.0) == pytest.approx(3.0 * 0.8 / 0.2)


@pytest.mark.parametrize("stay_warm", [True, False])
@pytest.mark.parametrize("patience_s", [0.0, 20.0])
def test_jobs_in_the_system_are_the_rate_times_their_stay(queues, stay_warm, patience_s):
    random = np.random.default_rng(3)
    times = queues.arrivals(3000, 1.0, 3.0, random)
    kinds = random.choice(2, len(times))
    jobs = queues.Jobs(times, kinds, queues.drawn(np.full(len(times), 40.0), 0.5, random))
    outcome = queues.run(jobs, 4, [5.0, 30.0], queues.Rule(stay_warm, patience_s))
    stay = (outcome.ends - times).sum()
    assert outcome.area == pytest.approx(stay)
    assert outcome.waits.min() >= 0
    loading = outcome.ends - outcome.waits - times - jobs.services
    assert outcome.loads == int((loading > 1e-6).sum())
    assert stay_warm or outcome.loads == len(times)


def test_no_worker_does_two_jobs_at_once(queues):
    jobs = memoryless(queues, rate=3.0, count=2000)
    outcome = queues.run(jobs, 4, [0.5])
    begins = jobs.arrivals + outcome.waits
    for moment in begins[::50]:
        assert ((begins <= moment) & (outcome.ends > moment)).sum() <= 4


def test_who_comes_first_is_served_first(queues):
    jobs = memoryless(queues, rate=3.5, count=2000)
    outcome = queues.run(jobs, 4, [0.0])
    assert (np.diff(jobs.arrivals + outcome.waits) >= 0).all()


def test_patience_loads_less(queues):
    random = np.random.default_rng(3)
    times = queues.arrivals(6000, 1.0, 3.0, random)
    jobs = queues.Jobs(times, random.choice(2, len(times)), np.full(len(times), 20.0))
    in_order, own_first = (
        queues.run(jobs, 5, [40.0, 40.0], queues.Rule(patience_s=s)) for s in (0.0, 300.0)
    )
    assert own_first.loads < in_order.loads / 2


@pytest.mark.parametrize("factor", [1.5, 3.0, 6.0])
def test_arrivals_have_the_peak_that_was_asked_for(queues, factor):
    times = queues.arrivals(400_000, 1.0, factor, np.random.default_rng(1))
    counts, _ = np.histogram(times, bins=48, range=(0, queues.DAY_S))
    assert counts.max() / counts.mean() == pytest.approx(factor, rel=0.05)
    assert counts.argmax() in (22, 23, 24, 25)


def test_lengths_have_their_mean_and_spread(queues):
    found = queues.drawn(np.full(200_000, 30.0), 0.5, np.random.default_rng(1))
    assert found.mean() == pytest.approx(30.0, rel=0.01)
    assert found.std() / found.mean() == pytest.approx(0.5, rel=0.02)


def test_the_smallest_pool_is_enough_and_one_worker_less_is_not(queues):
    jobs = memoryless(queues, rate=5.0, count=5000)
    workers, outcome = queues.smallest(jobs, [0.0], 1.0)
    assert outcome.wait(0.95) <= 1.0 < queues.run(jobs, workers - 1, [0.0]).wait(0.95)


def test_an_adapter_of_tiny_has_the_bytes_that_are_counted_with(work):
    # docs/log.md: three bakes of rank 16, each on the one before.
    for ranks, written in ((16, 1_411_616), (32, 2_812_512), (48, 4_213_368)):
        assert work.TINY.adapter_bytes(ranks) == pytest.approx(written, rel=0.001)


def test_what_the_code_has_is_what_is_counted_with(inputs):
    given = inputs.read()
    latest = defaults._FIRST
    assert given["rank"] == latest.r
    assert given["most_ranks"] == chains.MOST
    assert (given["steps"], given["batch"]) == (latest.steps, defaults.BATCHES[0])
    assert given["token_s"] == costs.TOKEN_S


def test_every_input_says_where_it_is_from(inputs):
    for one in inputs.read().all.values():
        named = one.source.partition(",")[0]
        assert one.source == inputs.ASSUMED or (inputs.ROOT / named).is_file(), one


def test_the_rates_of_a_measured_gpu_take_the_place_of_those_worked_out(inputs, work, tmp_path):
    (tmp_path / "quality.jsonl").write_bytes((inputs.RESULTS / "quality.jsonl").read_bytes())
    found = [{"sampling_tokens_s": 9000.0, "training_tokens_s": 4000.0}]
    case = {"kind": "speed", "what": "Qwen3-8B", "found": found}
    report = {"schema": 1, "size": "full", "cases": [case]}
    (tmp_path / "gpu.json").write_text(json.dumps(report))
    given = inputs.read(tmp_path)
    small, large = (base for base in work.BASES if base.on == "GPU")
    assert work.rates(large, given) == (9000.0, 4000.0, True)
    assert not work.rates(small, given)[2]
    (tmp_path / "gpu.json").write_text(json.dumps(report | {"size": "small"}))
    with pytest.raises(SystemExit, match="no report of a GPU"):
        inputs.read(tmp_path)


def test_a_chain_is_stored_whole_with_each_bake(inputs, work):
    from scale import storing

    one = inputs.read().changed(
        repositories=1, bakes_a_day=3, share_smollm2=1, share_06b=0, share_8b=0
    )
    found = storing.bakes(1, one, skewed=False)
    rank_bytes = work.BASES[0].rank_bytes()
    assert found.composed == pytest.approx((32 + 64 + 96) * rank_bytes, rel=0.001)
    assert found.sliced == found.own == pytest.approx(3 * 32 * rank_bytes, rel=0.001)
    long = storing.bakes(4, one, skewed=False)  # twelve bakes: four past 256 ranks
    assert long.compressed == 4
    assert long.composed == pytest.approx((32 * 36 + 4 * 256) * rank_bytes, rel=0.001)
    assert long.sliced == pytest.approx((12 * 32 + 4 * 224) * rank_bytes, rel=0.001)


def test_an_input_that_there_is_not_is_named(inputs, capsys):
    from scale import __main__ as program

    with pytest.raises(SystemExit):
        program.main(["--set", "gpu_hours=1"])
    assert "no input is called gpu_hours" in capsys.readouterr().err
