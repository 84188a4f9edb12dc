"""input.yml after its bake: all there, nothing active."""

from __future__ import annotations

import pytest

from bakery import schema
from bakery.repo.files.emptied import emptied, has_active_lines

BLOCK = """\
%YAML 1.2
---
# kept

PROMPT:
  teacher:
    messages:
      - role: system
        content: |
          # not a comment, but text

          - even this
\t
"""

TEXTS = [
    BLOCK,
    BLOCK.replace("\n", "\r\n"),
    "\ufeffPROMPT:\n  x: 1",
    "a: b\rc: d\r",
    "a: 'one\x85two\u2028three: four'\n",
    "a: {b: [1,\n2]}\n...\n--- \nb: c",
    "",
    "\n\n",
    "# all\n  # comments",
]


@pytest.mark.parametrize("text", TEXTS)
def test_an_emptied_file_configures_nothing(text):
    assert schema.load(emptied(text)).is_empty
    assert not has_active_lines(emptied(text))


@pytest.mark.parametrize("text", TEXTS)
def test_emptying_twice_is_emptying_once(text):
    assert emptied(emptied(text)) == emptied(text)


def test_blank_and_comment_lines_stay_and_the_rest_gets_a_sign():
    assert emptied("# a\n\nb:\n  c: 1\n  # d\n") == "# a\n\n# b:\n#   c: 1\n  # d\n"


def test_windows_line_ends_stay():
    assert emptied("a: 1\r\nb: 2\r\n") == "# a: 1\r\n# b: 2\r\n"


@pytest.mark.parametrize(("text", "active"), [("a: 1", True), (" # a\n", False), ("\ufeff", False)])
def test_active_lines_are_those_that_say_something(text, active):
    assert has_active_lines(text) == active
