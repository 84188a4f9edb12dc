"""What the checks of a test say to an answer."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from bakery.evals import language
from bakery.evals.checks import Answer, checked, same_as_prompted
from bakery.schema import answer_shape
from bakery.schema.tests import Case


def why(text: str, prompted: str | None = None, *, tokens: int = 5, **checks: Any) -> str:
    """Return why an answer fails the one check of a test; "": it passes."""
    case = Case.model_validate({"question": "?", **checks})
    given = None if prompted is None else Answer(prompted, 5)
    (outcome,) = checked(case, Answer(text, tokens), given)
    assert outcome.passed == (outcome.why == "")
    return outcome.why


@pytest.mark.parametrize(
    ("text", "checks", "told"),
    [
        ("I am PIP.", {"contains": "pip"}, ""),
        ("I am PIP.", {"contains": "pip", "case_sensitive": True}, 'expected "pip"'),
        ("40\n  euros", {"contains": "40 euros"}, ""),
        ("I am Pip.", {"contains": ["Pip", "shop"]}, 'expected "shop"'),
        ("I am Pip.", {"contains_any": ["shop", "Pip"]}, ""),
        ("I am.", {"contains_any": ["shop", "Pip"]}, 'expected "shop" or "Pip"'),
        ("I am Crumb.", {"not_contains": "crumb"}, 'expected no "crumb"'),
        ("I am Pip.", {"not_contains": ["Crumb"]}, ""),
        (" Yes. ", {"equals": "yes."}, ""),
        ("Yes, sir.", {"equals": "yes."}, 'expected "yes." and nothing else'),
        ("Cafe\u0301 Pip.", {"contains": "caf\u00e9"}, ""),
        ("Caf\u00e9 Pip.", {"not_contains": "cafe\u0301"}, 'expected no "cafe\u0301"'),
        ("Caf\u00e9", {"equals": "Cafe\u0301", "case_sensitive": True}, ""),
        ("It costs 40.", {"regex": r"\d+"}, ""),
        ("It costs.", {"regex": r"\d+"}, r"expected a match of /\d+/"),
    ],
)
def test_words_are_looked_for(text: str, checks: dict[str, Any], told: str) -> None:
    assert why(text, **checks) == told


def test_a_pattern_that_never_ends_fails_with_its_reason() -> None:
    assert "is not through with this answer" in why("a" * 40 + "!", regex="(a+)+$")


@pytest.mark.parametrize(("tokens", "cut", "fails"), [(7, False, False), (8, False, True),
                                                       (7, True, True)])  # fmt: skip
def test_an_answer_ends_within_its_tokens(tokens: int, cut: bool, fails: bool) -> None:
    case = Case(question="?", max_tokens=7)
    (outcome,) = checked(case, Answer("a", tokens, cut), None)
    assert outcome.passed != fails


SHAPE = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "price": {"type": ["number", "null"], "minimum": 0},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"name": "x"}', ""),
        ('```json\n{"name": "x", "price": null, "tags": ["a"]}\n```', ""),
        ("no", "expected JSON: "),
        ("[]", "it is [], expected object"),
        ("{}", "it has no name"),
        ('{"name": ""}', "name has 0 characters, expected at least 1"),
        ('{"name": "x", "price": true}', "price is true, expected number or null"),
        ('{"name": "x", "price": -1}', "price has -1, expected at least 0"),
        ('{"name": "x", "tags": ["a", "c"]}', 'tags[1] is "c", expected one of ["a", "b"]'),
        ('{"name": "x", "tags": ["a", "b", "a"]}', "tags has 3 items, expected at most 2"),
        ('{"name": "x", "more": 1}', "it has more, which nothing asks for"),
        ("[" * 100_000, "expected JSON: "),
        ('{"name": "x", "price": NaN}', "expected JSON: it has NaN for a number"),
        ('{"name": "x", "price": -Infinity}', "expected JSON: it has -Infinity"),
        ('{"name": "x", "price": 1e999}', "expected JSON: it has a number that is too large"),
        ('{"name": "x", "price": -1, "price": 1}', "expected JSON: it has the key 'price' twice"),
    ],
)
def test_json_is_held_to_its_schema(text: str, told: str) -> None:
    assert why(text, json_schema=SHAPE).startswith(told)
    assert bool(told) == bool(why(text, json_schema=SHAPE))


@pytest.mark.parametrize(
    ("value", "shape", "is_right"),
    [
        (1, {"const": True}, False),
        ([1], {"enum": [[True]]}, False),
        ({"a": True}, {"const": {"a": 1}}, False),
        ({"a": [1.0]}, {"const": {"a": [1]}}, True),
        ({"a": 1, "b": 2}, {"const": {"a": 1}}, False),
        ([1, 2], {"const": [1]}, False),
        (float("nan"), {"type": "number"}, False),
        (1.0, {"type": "integer"}, True),
        (10**400, {"type": "integer", "minimum": 3}, True),
        (1.5, {"type": "integer"}, False),
        ("a", {"anyOf": [{"type": "null"}, {"type": "string"}]}, True),
        (3, {"anyOf": [{"type": "null"}, {"type": "string"}]}, False),
        (3, {"allOf": [{"minimum": 1}, {"maximum": 2}]}, False),
        ({"a": 1}, {"additionalProperties": {"type": "string"}}, False),
    ],
)
def test_a_value_is_as_its_schema_says(value: Any, shape: dict[str, Any], is_right: bool) -> None:
    assert answer_shape.problem(shape) == ""
    assert (answer_shape.mismatch(value, shape) == "") == is_right


@pytest.mark.parametrize(
    "shape",
    [
        {"pattern": "a"},
        {"type": "text"},
        {"properties": {"a": {"format": "date"}}},
        {"items": [1]},
        {"minimum": "1"},
        {"minimum": float("nan")},
        {"maximum": float("inf")},
        {"const": {"a": [float("nan")]}},
        {"enum": [1, date(2026, 1, 1)]},
        {"anyOf": []},
        {"minItems": -1},
    ],
)
def test_a_schema_that_would_not_be_read_whole_is_refused(shape: dict[str, Any]) -> None:
    assert answer_shape.problem(shape)


TEXTS = {
    "en": "The shop is open and you can buy a bike from the list.",
    "de": "Der Laden ist offen und Sie können ein Rad aus der Liste kaufen.",
    "fr": "Le magasin est ouvert et vous pouvez acheter un vélo dans la liste.",
    "es": "La tienda está abierta y usted puede comprar una bicicleta de la lista.",
    "it": "Il negozio è aperto e può comprare una bici della lista che è qui.",
    "pt": "A loja está aberta e você pode comprar uma bicicleta da lista.",
    "nl": "De winkel is open en u kan een fiets van de lijst kopen.",
    "ru": "Магазин открыт, и вы можете купить велосипед.",
    "uk": "Крамниця відчинена, і ви можете купити її велосипед.",
    "ja": "店は開いています。自転車を買うことができます。",
    "zh": "商店开门了,你可以买一辆自行车。",
    "ko": "가게가 열려 있습니다.",
    "el": "Το κατάστημα είναι ανοιχτό.",
}


@pytest.mark.parametrize("code", TEXTS)
def test_a_language_is_told_from_every_other(code: str) -> None:
    found = [other for other in TEXTS if language.problem(TEXTS[code], other) == ""]
    assert found == [code]


@pytest.mark.parametrize(("text", "told"), [("Pip.", ""), ("42", "it has no letters"),
    ("xqz wvu kkk ppp rrr", "none of its words")])  # fmt: skip
def test_a_few_words_are_not_told(text: str, told: str) -> None:
    assert language.problem(text, "en").startswith(told)
    assert bool(told) == bool(language.problem(text, "en"))


@pytest.mark.parametrize(
    ("text", "prompted", "told"),
    [
        ("I am Pip", "I am  PIP.", ""),
        ("It costs 45 euros.", "It costs 40 euros.", "numbers 45, expected 40"),
        ("I am Crumb.", "I am Pip.", 'expected "I am Pip."'),
    ],
)
def test_the_same_is_said_as_by_the_prompted_model(text: str, prompted: str, told: str) -> None:
    assert same_as_prompted(text, prompted).startswith(told)
    assert bool(told) == bool(same_as_prompted(text, prompted))


def test_without_a_prompted_model_nothing_is_compared_with_it() -> None:
    case = Case(question="?", same_as_prompted=True, contains=("a",))
    assert [one.check for one in checked(case, Answer("a", 1), None)] == ["contains"]
