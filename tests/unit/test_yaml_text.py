"""Positions in YAML that people wrote."""

from __future__ import annotations

import pytest

from bakery import schema, yaml_text
from bakery.errors import ConfigError

TEXT = """\
top:
  list:
    - a: 1
      b: two
    - a: 3
  on: yes
"""


@pytest.mark.parametrize(
    ("path", "key", "place"),
    [
        ([], False, (1, 1)),
        (["top"], True, (1, 1)),
        (["top", "list", 0, "b"], False, (4, 10)),
        (["top", "list", 0, "b"], True, (4, 7)),
        (["top", "list", 1], False, (5, 7)),
        (["top", "on"], False, (6, 7)),
        (["top", "list", 0, "absent"], False, (3, 7)),
        (["top", "a_variant", "on"], False, (6, 7)),
    ],
)
def test_a_path_has_its_line_and_column(path, key, place):
    assert yaml_text.position(yaml_text.parse(TEXT, "x.yml"), path, key=key) == place


def test_the_plain_document_is_plain():
    plain = yaml_text.plain(yaml_text.parse(TEXT, "x.yml"))
    assert plain == {"top": {"list": [{"a": 1, "b": "two"}, {"a": 3}], "on": "yes"}}
    assert type(plain) is dict
    assert type(plain["top"]["list"]) is list
    assert type(plain["top"]["on"]) is str


def test_the_caret_stands_under_the_mistake():
    with pytest.raises(ConfigError, match="mapping values") as caught:
        yaml_text.parse("a: b: c\n", "x.yml")
    line, caret = caught.value.message.splitlines()[1:3]
    assert line[caret.index("^")] == ":"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("PROMPT\n  teacher:\n    messages: []\n", "A key needs a colon behind it: `PROMPT:`."),
        ("a: 1\nTARGET\n", "A key needs a colon behind it: `TARGET:`."),
        ("a:\n\tb: 1\n", "Indent with spaces: YAML takes no tabs."),
        ("a:\n  b: 1\n\tc: 1\n", "Indent with spaces: YAML takes no tabs."),
        ("- word\n- a: b: c\n", "Text that holds a colon or a # needs quotes around it."),
        ("a: b: c\n", "Text that holds a colon or a # needs quotes around it."),
    ],
)
def test_the_hint_fits_the_mistake(text, hint):
    with pytest.raises(ConfigError) as caught:
        yaml_text.parse(text, "x.yml")
    assert caught.value.hint == hint


def test_a_name_that_is_refused_says_what_names_are_made_of():
    with pytest.raises(ConfigError, match=r"takes letters, digits, `-`, `_` and `.`") as caught:
        schema.load("BAKE:\n  name: pirate bake\n")
    assert "pattern" not in caught.value.message


@pytest.mark.parametrize(
    ("word", "known", "guess"),
    [("epoch", ["epochs", "seed"], "epochs"), ("zzz", ["epochs", "seed"], None), ("x", [], None)],
)
def test_a_misspelt_word_finds_its_neighbour(word, known, guess):
    assert yaml_text.nearest(word, known) == guess
