"""What licences of bases ask of whoever publishes what is made from them."""

from __future__ import annotations

import pytest

from bakery.app import terms


@pytest.mark.parametrize(
    ("licence", "kind", "asks"),
    [
        ("apache-2.0", "free", "NOTICE"),
        ("MIT", "free", "notices"),
        ("llama3.2", "terms", "Built with Llama"),
        ("gemma", "terms", "prohibited uses"),
        ("cc-by-nc-4.0", "terms", "commercially"),
        ("qwen-research", "terms", "Built with Qwen"),
        ("cc-by-nd-4.0", "closed", "nobody"),
        ("my-own", "unknown", "read its text"),
        (None, "unknown", "read"),
    ],
)
def test_a_licence_is_known_by_what_it_asks(licence, kind, asks):
    found = terms.of(licence)
    assert found.kind == kind
    assert asks in found.sentence("org/base")
    assert "org/base" in found.sentence("org/base")
    assert found.licence == licence
