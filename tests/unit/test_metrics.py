"""What a bake logged: as a chart, as a table, in files, and while it goes on."""

from __future__ import annotations

import csv
import io
import json
import struct
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from bakery.cli.app import bgit
from bakery.errors import ConfigError
from bakery.repo.look.metrics import History, Point, chosen
from bakery.repo.model_repo import ModelRepo
from bakery.ui import figure, metrics
from bakery.ui.axes import Axis, thinned
from bakery.ui.chart import ROWS, Look, chart
from tests.support import recorded


@pytest.fixture
def repo(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> ModelRepo:
    """A model repository, stood in, with one bake on which two were made."""
    made = recorded.made(workplace / "yoda")
    monkeypatch.chdir(made.root)
    recorded.baked(made, "pirate")
    recorded.baked(made, "parrot")
    return made


def logged(repo: ModelRepo, name: str, steps: int = 20, **more: object) -> None:
    """Write what a bake logs: a loss that halves with each step."""
    found = repo.find_model(name)
    assert found is not None
    rows = [
        {"step": s, "epoch": s / 10, "loss": 2.0**-s, "learning_rate": 1e-3, **more}
        for s in range(1, steps + 1)
    ]
    (repo.store.bake(found.id) / "metrics.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
    )


def typed(*words: str) -> Result:
    return CliRunner().invoke(bgit, ["metrics", *words])


def test_a_bake_is_shown_as_a_chart_and_as_figures(repo):
    logged(repo, "parrot")
    lines = typed("parrot").stdout.splitlines()
    assert lines[0].startswith("parrot_")
    assert lines[1] == "loss, nats per token"
    assert lines[2].startswith(" 0.5 ┤")
    assert lines[2 + ROWS].lstrip().startswith("└┬")
    assert lines[3 + ROWS].split()[:2] == ["step", "1"]
    assert lines[3 + ROWS].split()[-1] == "20"
    figures = {line.split()[0]: line.split()[1:] for line in lines[5 + ROWS :]}
    assert figures["loss"] == ["0.5000", "9.5e-07", "9.5e-07", "0.5000"]
    assert figures["steps"] == ["20"]
    assert max(map(len, lines)) <= 80


def test_without_a_name_it_is_the_last_bake(repo):
    logged(repo, "parrot")
    assert typed().stdout.startswith("parrot_")


def test_a_series_is_charted_by_its_name(repo):
    logged(repo, "parrot", tokens=90, seconds=0.5)
    out = typed("parrot", "-s", "tokens_per_s").stdout
    assert "\ntokens per s, target tokens per second\n" in out
    assert "nats per token" not in out
    every = typed("parrot", "-s", "all").stdout
    assert "\nlearning rate\n" in every
    assert "\ntokens per s, " in every


def test_an_unknown_series_is_refused_with_those_that_are_there(repo):
    logged(repo, "parrot")
    done = typed("parrot", "-s", "los")
    assert done.exit_code == 2
    assert "there is no series 'los' here" in done.stderr
    assert "There are: loss, learning_rate, all." in done.stderr


def test_several_bakes_are_laid_over_one_another(repo):
    logged(repo, "pirate")
    logged(repo, "parrot", steps=5)
    out = typed("pirate", "parrot").stdout
    assert "A pirate_" in out
    assert "B parrot_" in out
    picture = "\n".join(out.splitlines()[1 : 1 + ROWS])
    assert {"A", "B"} <= set(picture)


def test_the_second_phase_is_marked(repo):
    found = repo.find_model("parrot")
    rows = [{"step": s, "loss": 1.0 / s} for s in range(1, 11)]
    rows += [{"step": s, "loss": 0.05, "phase": "on_policy"} for s in range(11, 16)]
    path = repo.store.bake(found.id) / "metrics.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    out = typed("parrot").stdout
    assert "from step 11 on: the student's own answers" in out
    assert out.count("┊") >= ROWS - 2


def test_csv_has_a_row_for_every_step_and_a_column_for_every_figure(repo):
    logged(repo, "pirate", steps=2)
    logged(repo, "parrot", steps=3, tokens=50, seconds=2.0)
    rows = list(csv.DictReader(io.StringIO(typed("pirate", "parrot", "--csv").stdout)))
    assert [row["bake"][:6] for row in rows] == ["pirate"] * 2 + ["parrot"] * 3
    assert list(rows[0]) == [
        "bake", "step", "epoch", "loss", "learning_rate", "tokens", "seconds", "tokens_per_s",
    ]  # fmt: skip
    assert (rows[0]["tokens"], rows[2]["tokens_per_s"]) == ("", "25.0")


def test_json_has_every_step_and_the_span_of_every_series(repo):
    logged(repo, "parrot", steps=2)
    data = json.loads(typed("parrot", "--json").stdout)
    assert data["bake"].startswith("parrot_")
    assert data["metrics"][1] == {"step": 2, "epoch": 0.2, "loss": 0.25, "learning_rate": 0.001}
    assert data["series"]["loss"] == {"first": 0.5, "last": 0.25, "min": 0.25, "max": 0.5}


def test_json_of_several_bakes_is_a_list(repo):
    logged(repo, "pirate")
    logged(repo, "parrot")
    data = json.loads(typed("pirate", "parrot", "--json").stdout)
    assert [entry["bake"][:6] for entry in data] == ["pirate", "parrot"]


def test_the_ending_of_a_file_says_what_is_written(repo, workplace):
    logged(repo, "parrot", steps=3)
    for ending in ("csv", "json", "svg", "png"):
        assert typed("parrot", "--out", str(workplace / f"loss.{ending}")).stdout.startswith(
            "wrote "
        )
    assert len((workplace / "loss.csv").read_text("utf-8").splitlines()) == 4
    assert json.loads((workplace / "loss.json").read_text("utf-8"))["bake"].startswith("parrot_")
    drawn = ElementTree.fromstring((workplace / "loss.svg").read_text("utf-8"))
    words = [node.text for node in drawn.iter() if node.text]
    assert any(word.endswith("loss, nats per token") for word in words)
    png = (workplace / "loss.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", png[16:24]) == (1600, 600)


def test_another_ending_is_refused(repo):
    logged(repo, "parrot")
    done = typed("parrot", "--out", "loss.pdf")
    assert done.exit_code == 2
    assert "One of .csv, .json, .svg, .png." in done.stderr


def test_a_file_that_cannot_be_written_is_an_error(repo, workplace):
    logged(repo, "parrot")
    (workplace / "taken").write_text("", encoding="utf-8")
    done = typed("parrot", "--out", str(workplace / "taken" / "loss.csv"))
    assert done.exit_code == 4
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize("words", [(), ("parrot",), ("--watch",), ("pirate", "parrot")])
def test_no_figures_are_an_error(repo, words):
    done = typed(*words)
    assert done.exit_code == 4
    assert "has no metrics on this machine" in done.stderr


@pytest.mark.parametrize(
    "words", [("--csv", "--json"), ("--csv", "--out", "a.csv"), ("--watch", "--csv")]
)
def test_one_form_is_asked_for_at_a_time(repo, words):
    logged(repo, "parrot")
    done = typed("parrot", *words)
    assert done.exit_code == 2
    assert "exclude one another" in done.stderr


def test_a_base_was_never_trained_here(repo):
    done = typed("base")
    assert done.exit_code == 3
    assert "is the base model" in done.stderr


def test_watching_a_bake_that_is_done_shows_its_steps_and_ends(repo):
    logged(repo, "parrot", steps=3)
    lines = typed("parrot", "--watch").stdout.splitlines()
    assert [line.split()[1] for line in lines] == ["1", "2", "3"]
    told = [json.loads(line) for line in typed("--watch", "--json").stdout.splitlines()]
    assert [row["loss"] for row in told] == [0.5, 0.25, 0.125]


def test_watching_follows_what_is_logged_until_it_is_over(monkeypatch, capsys):
    monkeypatch.setattr(metrics, "LOOK_AGAIN_S", 0.0)
    points = tuple(Point(step, loss=1.0 / step) for step in (1, 2, 3))
    seen = iter([points[:1], points[:1], points])
    over = iter([False, False, True])
    metrics.watch(lambda: [History("b", next(seen))], lambda: next(over), ["loss"])
    assert capsys.readouterr().out.splitlines() == [
        "step 1  loss 1.000",
        "step 2  loss 0.5000",
        "step 3  loss 0.3333",
    ]


def test_a_bake_that_is_not_recorded_yet_is_known_by_its_whole_name(repo):
    folder = repo.store.bake("0123456789abcdef")
    folder.mkdir()
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 2.0}\n', encoding="utf-8")
    assert typed("running_0123456789abcdef", "--json").exit_code == 0
    assert typed("running_0123456789abcde0").exit_code == 3


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([0.01, 0.9], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([3.0, 4.0], ["3.0", "3.2", "3.4", "3.6", "3.8", "4.0"]),
        ([0.0, 2e-4], ["0", "5.0e-05", "1.0e-04", "1.5e-04", "2.0e-04"]),
        ([120, 3900], ["0", "1000", "2000", "3000", "4000"]),
        ([5.0], ["2", "3", "4", "5", "6", "7", "8"]),
        ([0.0], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([], ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ([float("nan"), 1.0, 2.0], ["1.0", "1.2", "1.4", "1.6", "1.8", "2.0"]),
    ],
)
def test_an_axis_has_round_numbers_around_its_values(values, labels):
    assert Axis.over(values, ticks=6, from_zero=True).labels == labels


def test_steps_are_marked_at_both_ends_and_between():
    assert Axis.of_steps(range(1, 70), ticks=6).labels == ["1", "20", "40", "69"]
    assert Axis.of_steps([7], ticks=6).labels == ["7"]


def test_many_steps_are_shown_as_the_means_of_stretches():
    pairs = [(step, float(step)) for step in range(100)]
    assert thinned(pairs, 10)[0] == (5, 4.5)
    assert thinned(pairs[:20], 10) == pairs[:20]


@pytest.mark.parametrize("look", [Look(), Look(40), Look(80, unicode=False), Look(120)])
@pytest.mark.parametrize("steps", [1, 2, 30, 5000])
def test_a_chart_fits_where_it_is_shown(look, steps):
    pairs = [(step, 1.0 / step) for step in range(1, steps + 1)]
    lines = chart([pairs], look).plain.splitlines()
    assert len(lines) == ROWS + 2
    assert max(map(len, lines)) <= look.width
    assert look.unicode or all(line.isascii() for line in lines)


def test_a_line_goes_from_its_first_value_to_its_last():
    lines = chart([[(1, 1.0), (2, 0.0)]], Look(80, unicode=False)).plain.splitlines()
    assert lines[0].startswith(" 1.0 +*")
    assert lines[ROWS - 1].endswith("*")


def test_several_lines_are_dots_only_where_colours_tell_them_apart():
    two = [[(1, 1.0), (9, 0.0)], [(1, 0.5), (9, 0.7)]]
    assert "A" in chart(two, Look()).plain
    assert "A" not in chart(two, Look(colour=True)).plain


def test_a_picture_has_a_panel_for_every_series():
    panels = [figure.Panel("one", {"a": [(1, 1.0)]}), figure.Panel("two <&>", {"b": [(1, 2.0)]})]
    drawn = ElementTree.fromstring(figure.svg(panels))
    assert drawn.get("height") == "600"
    assert "two <&>" in [node.text for node in drawn.iter()]


@pytest.mark.parametrize("mark", [0, 1, 9, 10, 500])
def test_a_mark_beside_the_chart_is_left_out(mark):
    pairs = [(1, 1.0), (9, 0.5)]
    assert ("┊" in chart([pairs], Look(), mark=mark).plain) == (1 <= mark <= 9)
    drawn = figure.svg([figure.Panel("loss", {"a": pairs}, (mark, "own answers"))])
    assert ("own answers" in drawn) == (1 <= mark <= 9)


def test_what_is_no_number_is_neither_charted_nor_hidden(repo):
    logged(repo, "parrot", steps=3, grad_norm=float("nan"))
    assert "grad_norm" not in typed("parrot").stdout
    data = json.loads(typed("parrot", "--json").stdout)
    assert [row["grad_norm"] for row in data["metrics"]] == [None] * 3
    assert typed("parrot", "--csv").stdout.count(",nan") == 3


def test_series_are_chosen_by_name_once():
    history = History("b", (Point(1, loss=1.0, grad_norm=2.0),))
    assert chosen([history], []) == ["loss"]
    assert chosen([history], ["grad_norm", "loss", "grad_norm"]) == ["grad_norm", "loss"]
    assert chosen([history], ["all"]) == ["loss", "grad_norm"]
    with pytest.raises(ConfigError, match="no series 'eval_kl'"):
        chosen([history], ["eval_kl"])
