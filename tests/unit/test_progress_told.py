"""What a running command says of itself: in a pipe now and then, on a terminal by bars."""

from __future__ import annotations

import io
import re
import time

import pytest
from rich.console import Console

from bakery.app.recorder import Recorder
from bakery.reporting import Pace, Quiet
from bakery.store import job
from bakery.store.job import Job
from bakery.store.store import Store
from bakery.ui.progress import Bars, Lines
from bakery.ui.times import clock


def spoken(capsys: pytest.CaptureFixture[str], count: int) -> list[str]:
    """Wait until so many lines are there, as a person does, and return all of them."""
    said: list[str] = []
    end = time.monotonic() + 10
    while len(said) < count and time.monotonic() < end:
        time.sleep(0.01)
        said += capsys.readouterr().err.splitlines()
    return said


def test_a_pipe_hears_of_one_long_step_again_and_again(capsys):
    lines = Lines(every_s=0.1)
    lines.progress("bake", 0, 4)
    time.sleep(0.05)
    lines.progress("bake", 1, 4, "loss 0.5")
    said = spoken(capsys, 3)
    lines.close()
    assert said[0] == "bake: 0/4 …"
    for line in said[1:]:
        assert re.fullmatch(
            r"bake: 1/4, [\d.]+( s each|/s), [\d.]+ s elapsed, about [\d.]+ s left \(loss 0\.5\)",
            line,
        )


def test_a_batch_of_many_answers_is_told_of_before_it_is_there(capsys):
    lines = Lines(every_s=0.1)
    lines.progress("rollout", 100, 200)
    lines.partly(25.0, 60)
    line = spoken(capsys, 2)[1]
    lines.close()
    assert line.startswith("rollout: 100/200, about 25 of the next 60, ")
    assert " left" in line


def test_what_has_no_count_is_told_of_once_it_takes_long(capsys):
    lines = Lines(every_s=0.2, short_s=0.05)
    with lines.doing("loading"):
        said = spoken(capsys, 2)
        lines.partly(3.0, 12)
        said += spoken(capsys, 1)
    said += capsys.readouterr().err.splitlines()
    assert said[0] == "loading …"
    assert re.fullmatch(r"loading: [\d.]+ s elapsed", said[1])
    assert re.match(r"loading: 3/12, .* s left$", said[2])
    assert re.fullmatch(r"loading: [\d.]+ s", said[-1])


def test_what_is_over_at_once_is_not_worth_a_line(capsys):
    lines = Lines()
    with lines.doing("loading"):
        pass
    assert capsys.readouterr().err == ""


def test_a_closed_reporter_says_no_more(capsys):
    lines = Lines(every_s=0.05)
    lines.progress("bake", 0, 4)
    lines.close()
    capsys.readouterr()
    time.sleep(0.2)
    assert capsys.readouterr().err == ""


def test_a_step_of_its_own_follows_one_that_is_whole(capsys):
    lines = Lines()
    for label, total in (("bake", 9), ("again", 2), ("bake", 3)):
        for done in (0, total):
            lines.progress(label, done, total)
    said = [line.split(" in ")[0] for line in capsys.readouterr().err.splitlines()]
    assert said == ["bake: 0/9 …", "bake: 9/9", "again: 0/2 …", "again: 2/2", "bake: 0/3 …",
                    "bake: 3/3"]  # fmt: skip


def test_the_last_of_a_batch_that_has_all_it_needs_are_not_guessed_at(capsys):
    lines = Lines(every_s=0.05)
    lines.progress("stim", 170, 250)
    lines.partly(90, 96)  # 96 were asked for, where 80 are missing
    time.sleep(0.12)
    lines.close()
    said = capsys.readouterr().err.splitlines()[1]
    assert "stim: 170/250, about 80 of the next 96" in said
    assert "left" not in said


def test_bars_say_what_has_passed_and_what_is_left():
    file = io.StringIO()
    bars = Bars(Console(file=file, force_terminal=True, width=100))
    bars.progress("bake", 0, 4)
    time.sleep(0.05)
    bars.progress("bake", 1, 4, "loss 0.5")
    bars.partly(0.5, 1)
    with bars.doing("measuring"):
        bars.partly(3, 12)
    bars._bars.refresh()
    at = len(file.getvalue())
    bars.progress("bake", 4, 4)
    bars.close()
    running, over = file.getvalue()[:at], file.getvalue()[at:]
    assert "0:00 elapsed, 0:00 left" in running
    assert "1/4" in running
    assert "4/4" in over
    assert "left" not in over.rsplit("bake", 1)[1]


def test_the_clock_of_a_finished_bar_stands_still():
    file = io.StringIO()
    bars = Bars(Console(file=file, force_terminal=True, width=100))
    bars.progress("stim", 0, 4)
    time.sleep(0.05)
    bars.progress("stim", 4, 4)
    bars._bars.refresh()
    rates = re.findall(r"4/4.*?([\d.]+)/s", file.getvalue())
    time.sleep(0.3)
    bars._bars.refresh()
    bars.close()
    assert re.findall(r"4/4.*?([\d.]+)/s", file.getvalue())[-1] == rates[-1]


def test_a_bar_gives_way_where_there_is_little_room():
    file = io.StringIO()
    bars = Bars(Console(file=file, force_terminal=True, width=80))
    bars.progress("bake", 0, 1400, "loss 0.0072")
    time.sleep(0.05)
    bars.progress("bake", 700, 1400, "1,195 tokens/s")
    bars._bars.refresh()
    bars.close()
    assert re.search(r"elapsed, 0:00 left\S* +\S*1,195 tokens/s", file.getvalue())


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (12.4, "0:12"), (200, "3:20"), (7500, "2:05:00")]
)
def test_a_clock_shows_minutes_and_hours(seconds, text):
    assert clock(seconds) == text


def test_what_an_earlier_run_made_counts_for_no_rate():
    pace = Pace(began=100.0, first=90, done=90, total=100)
    assert (pace.rate(110.0), pace.left_s(110.0)) == (None, None)
    pace.done, pace.part = 92, 0.5
    assert pace.rate(110.0) == 0.25
    assert pace.left_s(110.0) == 7.5 / 0.25


def test_the_file_of_a_job_says_how_far_a_batch_is(tmp_path):
    store = Store(tmp_path)
    mine = Job("j1", "r", "w", "main", "c", "b", ("rollout",), ("t",), state="running")
    recorder = Recorder(store, mine, Quiet())
    recorder.progress("rollout", 0, 60)
    recorder._written = 0.0  # as if it had been long ago
    time.sleep(0.01)
    recorder.partly(30.0, 60)
    told = job.read(job.record_path(store, "j1")).progress
    assert (told.step, told.done, told.total) == ("rollout", 0, 60)
    assert told.left_s is not None
    with recorder.doing("measuring"):
        recorder._written = 0.0
        recorder.partly(1.0, 2)
    assert job.read(job.record_path(store, "j1")).progress == told
