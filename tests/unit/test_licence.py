"""What a base says of its licence is handed on; what it does not say is not made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from bakery.engine.bases import licence
from bakery.identity import BaseModelId


def said(name: str) -> str | None:
    return licence.said(BaseModelId(name, "", ""))


def test_the_embedded_model_names_its_own():
    assert said("tiny-1") == "apache-2.0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("---\nlicense: mit\n---\n# A model\n", "mit"),
        ("---\nlicense: [mit]\n---\n", None),
        ("---\nlicense: *x\n---\n", None),
        ("---\nlicense: mit\n", None),
        ("# license: mit\n---\nlicense: mit\n---\n", None),
        ("", None),
    ],
)
def test_a_folder_says_it_in_its_readme(text: str, expected: str | None, tmp_path: Path):
    (tmp_path / "README.md").write_text(text, encoding="utf-8")
    assert said(str(tmp_path)) == expected


def test_what_is_not_on_this_machine_is_not_known(tmp_path: Path):
    assert said(str(tmp_path)) is None
    assert said("nobody/has-this-model") is None
    assert said("a b/c/d") is None
