"""Positions in YAML that people wrote."""

from __future__ import annotations

import pytest

from bakery import schema
from bakery.errors import ConfigError
from bakery.yaml import text as yaml_text

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
        ("a: 'x\nb: 3\n", "Close it with the quote that it begins with."),
        (
            "a:\n  b: 1\n c: 2\n",
            "Begin the line with as many spaces as the keys it belongs to.",
        ),
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


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-4", 1e-4), ("1_000", 1000), ("0x1F", 31), ("0o17", 15), ("0b11", 3), ("-3", -3),
        ("1.5", 1.5), (".5", 0.5), ("-.inf", float("-inf")), ("on", "on"), ("no", "no"),
        ("True", True), ("false", False), ("~", None), ("", None), ("null", None),
        ("2026-01-01", "2026-01-01"), ("12:30", "12:30"), ("=", "="), ("<<", "<<"),
        ("'1'", "1"), ("!!str 1", "1"), ('!!int "7"', 7), ("! 5", "5"), ("日本 🙂", "日本 🙂"),
    ],
)  # fmt: skip
def test_values_are_those_of_yaml_1_2(written, value):
    assert yaml_text.parse(f"a: {written}\n", "x.yml")["a"] == value


def test_anchors_and_merges_are_taken_in():
    text = "a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\nc: [*a, *a]\n"
    document = yaml_text.parse(text, "x.yml")
    assert yaml_text.plain(document)["b"] == {"y": 3, "x": 1}
    assert yaml_text.plain(document)["c"] == [{"x": 1, "y": 2}] * 2
    assert yaml_text.position(document, ["b", "x"], key=True) == (1, 8)


def test_a_byte_order_mark_is_no_text():
    assert yaml_text.parse("\ufeffa: 1\n", "x.yml") == {"a": 1}


LAUGHS = "a0: &a0 ha\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
LONG = f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 100)}]\n"
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 2000))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LAUGHS, r"^x\.yml:\d+:\d+: more than 500,000 values, counting what aliases repeat"),
        (LONG, r"^x\.yml:2:\d+: more than 500,000 values, counting what aliases repeat"),
        (CHAIN, r"^x\.yml:6\d:\d+: nested deeper than 64 levels"),
        ("[" * 100_000, r"^x\.yml:1:65: nested deeper than 64 levels"),
        ("{a: " * 100_000, r"^x\.yml:1:\d+: nested deeper than 64 levels"),
        ("- " * 50_000, r"^x\.yml:1:\d+: nested deeper than 64 levels"),
        ("a: &a [*a]\n", r"^x\.yml:1:8: \*a refers to what it is a part of"),
        ("abc: &abc 1\nb: *abd\n", r"^x\.yml:2:4: \*abd refers to nothing above: .* \*abc\?"),
        ("a: !!python/object:os.system x\n", r"^x\.yml:1:4: the tag !python/object:os\.system"),
        ("a: !own x\n", r"^x\.yml:1:4: the tag !own means nothing here"),
        ("a: !!binary aGk=\n", r"^x\.yml:1:4: the tag !binary means nothing here"),
        ("a: !!int x\n", r"^x\.yml:1:4: `x` is not of the type !!int"),
        (f"a: {'9' * 5000}\n", r"^x\.yml:1:4: this number cannot be read \(5000 characters\)"),
        ("? [a]\n: b\n", r"^x\.yml:1:3: a key is text, not a list or a mapping"),
        ("a: &a {x: 1}\n*a : 2\n", r"^x\.yml:2:1: a key is text"),
        ("a:\n  <<: [1]\n", r"^x\.yml:2:7: `<<` takes a mapping"),
        ("a: 1\nb: 2\na: 3\n", r"^x\.yml:3:1: duplicate key `a`: it is already on line 1"),
        ("a: 1\n---\nb: 2\n", r"^x\.yml:2:1: another document begins here"),
        ("a: \x00\n", r"^x\.yml:1:4: the character U\+0000 is not text"),
        ("é: x\nb: \x1b\n", r"^x\.yml:2:4: the character U\+001B is not text"),
        ("a: [1, 2\nb: 3\n", r"^x\.yml:2:\d+: expected `,` or `\]`: this list is not closed"),
        ("a: 'x\nb: 3\n", r"^x\.yml:1:4: this text never ends: a closing quote is missing"),
        ('a: "x" y\n', r'^x\.yml:1:8: more text behind a closing "'),
        ("a:\n  - 'Don't.'\n", r"^x\.yml:2:10: more text behind a closing '"),
        ('a: ["x "y" z"]\n', r'^x\.yml:1:9: more text behind a closing "'),
        ('a: "\\d"\n', r"^x\.yml:1:5: a backslash in double quotes begins an escape"),
        ("some text\nPROMPT:\n  a: 1\n", r"^x\.yml:2:7: mapping values are not allowed here"),
        ("  a: 1\nPROMPT:\n  a: 1\n", r"^x\.yml:2:1: this, or what is above it, is not a key"),
        ("a: @x\n", r"^x\.yml:1:4: nothing can begin with this character"),
        ("a: 1\n b: 2\n", r"^x\.yml:2:3: mapping values are not allowed here"),
    ],
)  # fmt: skip
def test_yaml_that_no_configuration_is_made_of_is_refused_at_its_place(text, message):
    with pytest.raises(ConfigError, match=message):
        yaml_text.parse(text, "x.yml")


def test_two_lines_are_shown_on_each_side_of_a_mistake():
    with pytest.raises(ConfigError) as caught:
        yaml_text.parse("a: 1\nb: 2\nc: 3\nd: e: f\ng: 4\nh: 5\ni: 6\n", "x.yml")
    assert caught.value.message.splitlines()[1:] == [
        "    2 | b: 2",
        "    3 | c: 3",
        "    4 | d: e: f",
        "            ^",
        "    5 | g: 4",
        "    6 | h: 5",
    ]


def test_a_long_line_is_shown_where_the_mistake_is():
    with pytest.raises(ConfigError) as caught:
        yaml_text.parse(f"a: {'x' * 5000}: y {'z' * 5000}\n", "x.yml")
    shown, caret = caught.value.message.splitlines()[1:3]
    assert len(shown) < 150
    assert shown[caret.index("^")] == ":"
