"""Each kind of instruction of IFEval: an answer that obeys it, and one that does not."""

from __future__ import annotations

import pytest

from bakery.errors import ConfigError
from bakery.evals.ifeval.checks import CHECKS, count_sentences
from bakery.evals.ifeval.score import read, scored
from bakery.evals.language import problem

OBEYED = [
    ("change_case:capital_word_frequency", {"capital_relation": "at least", "capital_frequency": 2},
     "Come HERE and LOOK.", "Come HERE and look."),
    ("change_case:capital_word_frequency",
     {"capital_relation": "less than", "capital_frequency": 2}, "Come HERE.", "COME HERE."),
    ("change_case:english_capital", {}, "ALL OF IT, 1.", "ALL Of IT"),
    ("change_case:english_lowercase", {}, "all of it, 1.", "all Of it"),
    ("combination:repeat_prompt", {"prompt_to_repeat": "Write a rhyme."},
     "write a rhyme. Cat, hat.", "Here: Write a rhyme."),
    ("combination:two_responses", {}, "One.\n******\nTwo.", "One.\n******\nOne."),
    ("combination:two_responses", {}, "******One.******Two.******", "One ****** Two ****** Three"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2},
     "Dear [name], at [place]", "Dear [name]"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."},
     "Bye.\nP.S. Come.", "Bye. Postscript: come."),
    ("detectable_content:postscript", {"postscript_marker": "P.P.S"},
     "Bye.\nP.P.S come", "Bye.\nP.S. come"),
    ("detectable_format:constrained_response", {}, "My answer is no.", "No."),
    ("detectable_format:json_format", {}, '```json\n{"a": [1]}\n```', "{a: 1}"),
    ("detectable_format:multiple_sections", {"section_spliter": "Section", "num_sections": 2},
     "Section 1\na\nSection 2\nb", "Section 1\na"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n* b\n* c"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2},
     "*this* and **that**", "*this* and **"),
    ("detectable_format:title", {}, "<<Song>>\nla", "<< >> la"),
    ("keywords:existence", {"keywords": ["sea", "Sand"]}, "The sea and sand.", "The sea."),
    ("keywords:forbidden_words", {"forbidden_words": ["rich"]}, "An ostrich.", "He is Rich."),
    ("keywords:forbidden_words", {"forbidden_words": ["C++"]}, "I like C.", "I like C++ best."),
    ("detectable_content:postscript", {"postscript_marker": "Note:"},
     "Bye.\nNote: come", "Bye.\nN.o.t.e come"),
    ("keywords:frequency", {"keyword": "la", "relation": "at least", "frequency": 3},
     "La la la", "La la"),
    ("keywords:frequency", {"keyword": "la", "relation": "less than", "frequency": 3},
     "La la", "La la la"),
    ("keywords:letter_frequency", {"letter": "#", "let_relation": "at least", "let_frequency": 2},
     "#a #b", "#a"),
    ("language:response_language", {"language": "de"},
     "Das ist nicht der Hund, und die Katze ist hier.", "This is not the dog and the cat."),
    ("length_constraints:nth_paragraph_first_word",
     {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "then"},
     "First.\n\n\"Then it rained.\"", "First.\n\nIt rained then."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
    ("length_constraints:number_sentences", {"relation": "less than", "num_sentences": 3},
     "One. Dr. Two came.", "One. Two! Three?"),
    ("length_constraints:number_words", {"relation": "at least", "num_words": 3},
     "one two three", "one two"),
    ("punctuation:no_comma", {}, "Red and blue.", "Red, blue."),
    ("startend:end_checker", {"end_phrase": "Any questions?"},
     'So it is. "any questions?"', "Any questions? No."),
    ("startend:quotation", {}, ' "All of it." ', '"All" of it.'),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "told", "good", "bad"), OBEYED)
def test_a_checker_tells_an_answer_that_obeys_from_one_that_does_not(kind, told, good, bad):
    assert CHECKS[kind](good, told)
    assert not CHECKS[kind](bad, told)


def test_every_kind_of_the_paper_has_a_checker_and_a_test():
    assert len(CHECKS) == 25
    assert {kind for kind, *_ in OBEYED} == set(CHECKS)


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("No mark", 1), ("Mr. Bee came. He sat.", 2), ('"Go!" she said. 3.5 of them.', 3)],
)
def test_sentences_are_counted_by_their_marks(text, count):
    assert count_sentences(text) == count


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The cat is on the table and it is not mine.", "en"),
        ("Le chat est sur la table et il ne veut pas.", "fr"),
        ("El gato no es de la casa y se lo come.", "es"),
        ("Кот не на столе, и это все.", "ru"),
        ("यह है और वह नहीं है", "hi"),
        ("เขาไปตลาด", "th"),
    ],
)
def test_a_language_is_told_by_script_and_common_words(text, language):
    assert problem(text, language) == ""
    assert [code for code in ("en", "fr", "es", "ru", "hi", "th") if problem(text, code) == ""] == [
        language
    ]


def instruction(*kinds, told=None):
    row = {"prompt": "Do.", "instruction_id_list": list(kinds), "kwargs": told or [{}] * len(kinds)}
    return read([(1, row)], "x.jsonl")[0]


def test_a_greeting_in_front_is_forgiven_loosely_and_not_strictly():
    found = scored(instruction("change_case:english_lowercase"), "Sure, here it is:\nall of it")
    assert (found.strict, found.loose) == ((False,), (True,))


def test_an_empty_answer_obeys_nothing():
    found = scored(instruction("punctuation:no_comma"), " \n")
    assert (found.strict, found.loose) == ((False,), (False,))


def test_kinds_that_nobody_can_check_are_named():
    told = [{}, {"language": "tlh"}, {}]
    one = instruction("new:kind", "language:response_language", "punctuation:no_comma", told=told)
    assert one.unknown == ("new:kind", "language:response_language")


def test_a_row_of_another_form_is_refused_by_number():
    with pytest.raises(ConfigError, match=r"x\.jsonl: row 3 is no instruction"):
        read([(3, {"prompt": "Do.", "instruction_id_list": ["a"], "kwargs": []})], "x.jsonl")
    with pytest.raises(ConfigError, match=r"x\.jsonl: row 4 is no instruction"):
        read([(4, {"prompt": "Do.", "instruction_id_list": [], "kwargs": []})], "x.jsonl")


WORDS = "length_constraints:number_words"
PARAGRAPH = "length_constraints:nth_paragraph_first_word"


@pytest.mark.parametrize(
    ("kind", "told", "said"),
    [
        ("keywords:existence", {}, "keywords:existence has no `keywords`: a list of texts"),
        ("keywords:existence", {"keywords": 3}, "`keywords` of keywords:existence is 3, and not"),
        ("keywords:existence", {"keywords": "hel"}, "a list of texts"),
        ("keywords:existence", {"keywords": []}, "a list of texts"),
        ("keywords:forbidden_words", {"forbidden_words": "hello"}, "a list of texts"),
        ("keywords:forbidden_words", {"forbidden_words": ["a", " "]}, "a list of texts"),
        (WORDS, {"relation": "at most", "num_words": 3}, "is 'at most', and not `less than` or"),
        (WORDS, {"relation": ["at least"], "num_words": 3}, "`less than` or `at least`"),
        (WORDS, {"relation": "at least", "num_words": float("inf")}, "is inf, and not a whole"),
        (WORDS, {"relation": "at least", "num_words": 2.5}, "a whole number from 1 on"),
        (WORDS, {"relation": "at least", "num_words": True}, "a whole number from 1 on"),
        (WORDS, {"relation": "at least", "num_words": 0}, "a whole number from 1 on"),
        ("keywords:letter_frequency",
         {"letter": "", "let_relation": "at least", "let_frequency": 1}, "a text"),
        ("startend:end_checker", {"end_phrase": " "}, "a text"),
        ("detectable_content:postscript", {"postscript_marker": "—"}, "with a letter or digit"),
        (PARAGRAPH, {"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "."}, "with a letter"),
        ("language:response_language", {}, "has no `language`"),
    ],
)  # fmt: skip
def test_what_a_check_would_misread_is_refused_with_its_row(kind, told, said):
    with pytest.raises(ConfigError, match=r"x\.jsonl: row 1: ") as error:
        instruction(kind, told=[told])
    assert said in error.value.message


@pytest.mark.parametrize("told", [["x"], [3], [[]]])
def test_what_an_instruction_names_is_an_object(told):
    with pytest.raises(ConfigError, match=r"x\.jsonl: row 1: `kwargs` has"):
        instruction("punctuation:no_comma", told=told)


@pytest.mark.parametrize(("kind", "told", "good", "bad"), OBEYED)
def test_what_a_check_needs_is_asked_for_and_enough(kind, told, good, bad):
    assert scored(instruction(kind, told=[told]), good).strict == (True,)
    for key in told:
        with pytest.raises(ConfigError, match=f"has no `{key}`"):
            instruction(kind, told=[{**told, key: None}])


def test_numbers_of_tables_are_whole_numbers():
    one = instruction(WORDS, told=[{"relation": "at least", "num_words": 3.0}])
    assert scored(one, "one two three").strict == (True,)
