"""`{variable}` in prompts: what is one, what fills it, and what is refused before anything runs."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest

from bakery import schema, variables
from bakery.api import asked
from bakery.data import table
from bakery.errors import ConfigError
from bakery.identity import BaseModelId, StimRequest
from bakery.records import Prompt, Stimulus, append_rows, read_rows
from bakery.repo.plan.planned import Head
from bakery.repo.plan.resolve import resolve

HEAD = Head("ada", "shop", BaseModelId("tiny-1", "", "ab" * 32))

TEXT = """\
PROMPT:
  teacher: "The {product} costs {price}."
TARGET:
  name: shop
  generators:
GENERATORS
BAKE:
  name: shop
"""
FILE = "    - {type: from_dataset, dataset: products.csv}"
CSV = "question,product,price\nHow much?,lamp,12\nHow much?,chair,40\n"


def load(generators: str = FILE, text: str = TEXT, **files: str) -> schema.InputSpec:
    held = {"products.csv": CSV, **{f"products.{kind}": text for kind, text in files.items()}}
    whole = text.replace("GENERATORS", generators)
    return schema.load(whole, read=lambda path: held[path].encode(), rows=table.rows)


def system(text: str) -> Prompt:
    return Prompt(({"role": "system", "content": text},))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("The {product}.", "The lamp."),
        ("{product}{product}", "lamplamp"),
        ("{{product}} is {product}", "{product} is lamp"),
        ('{"a": 1} {colour} {{colour}} {} {0} { product }',
         '{"a": 1} {colour} {{colour}} {} {0} { product }'),
        ("{{{product}}}", "{{product}}"),
    ],
)  # fmt: skip
def test_only_what_a_row_names_is_filled(text: str, said: str) -> None:
    assert variables.fill(text, {"product": "lamp"}) == said


def test_parts_of_text_are_filled_and_tools_are_not() -> None:
    tools = ({"type": "function", "function": {"name": "f", "description": "{product}"}},)
    parts = [{"type": "text", "text": "{product}"}]
    prompt = Prompt(({"role": "user", "content": parts}, {"role": "assistant"}), tools)
    found = variables.filled(prompt, {"product": "lamp"})
    assert found.messages[0]["content"] == [{"type": "text", "text": "lamp"}]
    assert found.tools == tools
    assert variables.filled(prompt, None) is prompt


@pytest.mark.parametrize(
    ("value", "text"),
    [("x", "x"), (12, "12"), (1.5, "1.5"), (True, "true"), (None, None), ("", None),
     (float("nan"), None), (datetime.date(2026, 1, 2), "2026-01-02")],
)  # fmt: skip
def test_values_are_written_as_yaml_and_json_write_them(value: Any, text: str | None) -> None:
    assert variables.as_text(value) == text


def test_a_file_s_columns_fill_the_prompt() -> None:
    spec = load()
    assert spec.variables == {"shop": {"product": "lamp", "price": "12"}}
    assert not spec.warnings
    (target,) = resolve(spec, HEAD).targets
    assert target.stim.variables == {"product": "lamp", "price": "12"}


def test_braces_that_no_row_fills_stay_and_are_named() -> None:
    spec = load(text=TEXT.replace("costs", "({colour}, {{size}}) costs"))
    assert set(spec.variables["shop"]) == {"product", "price"}
    (said,) = spec.warnings
    assert said.startswith("input.yml:3:1: the prompts of shop say {colour}, which no row has")


def test_without_rows_every_brace_is_text() -> None:
    spec = load("    - {type: facts}")
    assert not spec.variables
    (said,) = spec.warnings
    assert "{product}, {price}, which no row has a value for" in said


@pytest.mark.parametrize(
    ("generators", "told"),
    [
        (f"{FILE}\n    - {{type: persona, numq: 3}}",
         r"input.yml:7:\d+: `persona` has no rows to fill \{product\}, \{price\} of the prompt"),
        (f"{FILE}\n    - {{type: from_dataset, dataset: squad, numq: 3}}",
         "`from_dataset` has no rows to fill"),
        (f"{FILE}\n    - {{type: hardcoded, questions: [Who?]}}", "`hardcoded` has no rows"),
        ("    - {type: hardcoded, questions: [{question: Q?, product: x, price: 1}, Who?]}",
         r"question 2 has no value for \{product\}, \{price\}"),
        ("    - {type: hardcoded, questions: [{question: Q?, product: x, prise: 1}]}",
         r"no prompt of the target has `\{prise\}`: did you mean `price`"),
        ("    - {type: hardcoded, questions: [{product: x, price: 1}]}",
         "a row needs the key `question`"),
        ("    - {type: hardcoded, questions: [{question: Q?, product: [a], price: 1}]}",
         r"question 1 has more than a text or a number for \{product\}"),
    ],
)  # fmt: skip
def test_what_leaves_a_variable_open_is_refused(generators: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        load(generators)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("csv", "question,product,price\nA?,lamp,12\nB?,chair,\nC?,,7\n",
         r"products.csv: row 2 has no value for \{price\}.*"
         r"products.csv: row 3 has no value for \{product\}"),
        ("jsonl", '{"question": "A?", "product": "x", "price": 1}\n\n{"question": "B?"}\n',
         r"products.jsonl: line 3 has no value for \{product\}, \{price\}"),
        ("json", '[{"question": "A?", "product": "x", "price": 1}, "B?"]',
         r"products.json: row 2 has no value for"),
        ("jsonl", r'{"question": "A?", "product": "\ud800", "price": 1}',
         r"products.jsonl: line 1 has half a character \(a lone surrogate\) for \{product\}"),
    ],
)  # fmt: skip
def test_a_row_without_a_value_is_named_with_its_file(name: str, text: str, told: str) -> None:
    generators = f"    - {{type: from_dataset, dataset: products.{name}}}"
    with pytest.raises(ConfigError, match=rf"(?s)input.yml:6:\d+: {told}"):
        load(generators, **{name: text})


def test_an_empty_line_is_no_row() -> None:
    assert load(csv=f"{CSV},,\n").variables


def test_a_data_file_is_only_read_where_a_prompt_has_braces() -> None:
    broken = "question,product\nA?\n"
    assert not load(text=TEXT.replace("{", "").replace("}", ""), csv=broken).variables
    with pytest.raises(ConfigError, match="as many columns"):
        load(csv=broken)


def test_ids_change_only_where_variables_are_used() -> None:
    spec = load()
    generators = ({"type": "from_dataset", "dataset": "products.csv", "seed": 42},)
    plain = StimRequest(system("Shout."), generators, {}, spec.files)
    assert plain.id == StimRequest(system("Shout."), generators, {}, spec.files, variables={}).id
    (target,) = resolve(spec, HEAD).targets
    before = StimRequest(target.stim.teacher, target.stim.generators, {}, spec.files)
    assert target.stim.id != before.id
    data = target.stim.variables
    again = StimRequest(before.teacher, before.generators, {}, spec.files, variables=data)
    assert again.id == target.stim.id


def test_a_variable_of_the_student_s_prompt_alone_counts() -> None:
    text = TEXT.replace('costs {price}."', 'costs a lot."\n  student: "{price}"')
    assert set(load(text=text).variables["shop"]) == {"product", "price"}


def test_values_lie_with_the_question(workplace: Any) -> None:
    row = Stimulus("a", ({"role": "user", "content": "Q?"},), "hardcoded", "w", values={"x": "1"})
    plain = Stimulus("b", row.messages, "hardcoded", "w")
    file = workplace / "stimuli.jsonl"
    append_rows(file, [row, plain])
    assert read_rows(file, Stimulus) == [row, plain]
    first, second = (json.loads(line) for line in file.read_text("utf-8").splitlines())
    assert first["values"] == {"x": "1"}
    assert "values" not in second


def test_python_takes_rows_too() -> None:
    row = {"question": "How much?", "product": "lamp", "price": 12}
    _, generators = asked.questions([row, "Who?", row])
    assert generators == [{"type": "hardcoded", "questions": [row, "Who?"]}]
    with pytest.raises(ConfigError, match="at least one text"):
        asked.questions([{"product": "lamp"}])
