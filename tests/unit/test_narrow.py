"""On a narrow terminal nothing that is copied is broken in two."""

from __future__ import annotations

import re
import sys

import pytest
from rich.table import Table
from rich.text import Text

from bakery.errors import ConfigError
from bakery.repo.look import models, show, status, target
from bakery.repo.model_repo import ModelRepo
from bakery.schema import load
from bakery.ui import console, narrow
from bakery.ui.harmless import HarmlessConsole
from bakery.ui.models import show_models
from bakery.ui.show import show_record
from bakery.ui.status import show_status
from bakery.ui.target import show_targets
from bakery.ui.tree import show_tree
from tests.support.recorded import baked, configuration

NAME = "a_rather_long_name_for_a_bake"


@pytest.fixture(params=[60, 80])
def terminal(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, capsys: object
) -> int:
    """A terminal of so many columns."""
    monkeypatch.setenv("COLUMNS", str(request.param))
    monkeypatch.setenv("TERM", "xterm")
    return int(request.param)


def test_every_page_shows_names_and_digests_whole(
    repo: ModelRepo, terminal: int, capsys, monkeypatch
):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    model = baked(repo, NAME)
    (repo.root / "input.yml").write_text(configuration("next"), encoding="utf-8")
    bake = repo.bakes()[0]
    target_name = bake.data["targets"][0]["name"]
    pages = {
        "status": (lambda: show_status(status.status(repo)), [str(model)]),
        "show": (
            lambda: show_record(show.describe(repo, bake)),
            [str(model), target_name, f"sha256:{bake.digest}"],
        ),
        "models": (
            lambda: show_models(models.models(repo)),
            [f"{model.bake}/{model.step}"],
        ),
        "target": (lambda: show_targets(target.listed(repo)), [target_name]),
        "tree": (lambda: show_tree(repo.lineage()), [model.bake]),
    }
    for page, (show_it, names) in pages.items():
        show_it()
        out = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out)
        for name in names:
            assert name in out, page
        allowed = max(terminal, *(len(word) + 4 for word in out.split()))
        longest = max((line.rstrip() for line in out.splitlines()), key=len)
        assert len(longest) <= allowed, longest


def lines(table: Table, width: int) -> list[str]:
    out = HarmlessConsole(width=width)
    assert narrow.breaks(table, width)
    return [line.plain for line in narrow.lines(out, table)]


def test_a_value_that_does_not_fit_beside_its_label_stands_below_it():
    table = console.pairs()
    table.add_row("commit", "a b c d e f g h i j k l")
    table.add_row("digest", "x" * 20)
    assert lines(table, 20) == [
        "commit  a b c d e f ",
        "        g h i j k l",
        "digest",
        "  " + "x" * 20,
    ] or (
        [line.rstrip() for line in lines(table, 20)]
        == ["commit  a b c d e f", "        g h i j k l", "digest", "  " + "x" * 20]
    )


def test_a_row_that_does_not_fit_has_its_name_above_the_rest():
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("")
    table.add_column("model", overflow="fold")
    table.add_column("weights")
    table.add_column("baked on", overflow="fold")
    table.add_row("*", Text("m" * 24), "here", "-")
    table.add_row("", "short", "missing", "base")
    assert [line.rstrip() for line in lines(table, 30)] == [
        "* " + "m" * 24,
        "    weights here",
        "  short",
        "    weights missing, baked on",
        "    base",
    ]


def test_what_fits_stays_a_table():
    table = console.pairs()
    table.add_row("model", "m" * 10)
    assert not narrow.breaks(table, 20)
    assert narrow.breaks(table, 15)


def test_a_note_is_wrapped_between_words_on_a_terminal_alone(capsys, monkeypatch):
    text = "this is a note that is longer than a line of " + "n" * 30
    console.note(text)
    assert capsys.readouterr().err == f"note: {text}\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    console.note(text)
    shown = capsys.readouterr().err.splitlines()
    assert shown == [
        "note: this is a note that is longer than",
        "  a line of",
        "  " + "n" * 30,
    ] or (max(map(len, shown)) <= 40 and "n" * 30 in shown[-1])


def test_defaults_of_a_later_version_say_upgrade():
    with pytest.raises(ConfigError, match=r"input\.yml:1:11: DEFAULTS: .*upgrade it") as caught:
        load("DEFAULTS: 99\n")
    assert caught.value.message.count("DEFAULTS") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one two three four", "one two\n  three\n  four"),
        ("loading " + "n" * 12, "loading\n  " + "n" * 12),
        ("one\n  two three four", "one\n  two three\n    four"),
    ],
)
def test_sentences_break_between_words(text, expected):
    assert narrow.between_words(text, 11 if "\n" in text else 9) == expected


ROWS: list[list[str | Text]] = [
    ["*", Text("one/12", "bold"), "0.1 → 2", "日本"],
    ["", "e\u0301", "", "a [b] :smile:"],
    ["", "much longer than the others/120", "-", "x"],
]


@pytest.mark.parametrize("headed", [True, False])
def test_a_table_in_a_pipe_is_what_rich_prints(headed):
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=headed, header_style="bold"
    )
    table.add_column("", width=1)
    for head in ("model", "KL", "last"):
        table.add_column(head, overflow="fold")
    for row in ROWS:
        table.add_row(*row)
    out = HarmlessConsole(width=console.PIPE_WIDTH)
    with out.capture() as capture:
        out.print(table)
    lines = narrow.plain(table, out.width)
    assert lines == [line.rstrip() for line in capture.get().splitlines()]
    assert narrow.plain(table, 20) is None
    table.add_row("", "two\nlines", "", "")
    assert narrow.plain(table, out.width) is None
