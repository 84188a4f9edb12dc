"""What an answer is held to, and how templates write calls, without a model."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bakery.errors import ConfigError
from bakery.server import calls, forms, grammar
from bakery.server.calls import USUAL, Called, Spelling
from bakery.server.errors import RequestError

ASKED = {"model": "base", "messages": [{"role": "user", "content": "Who?"}]}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def held(spelling: Spelling | None = USUAL, **asked: Any) -> str | None:
    form = forms.read(json.dumps({**ASKED, **asked}).encode(), forms.ChatForm)
    return grammar.of(form, lambda: spelling)


def by_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}


def tool(name: str = "now", parameters: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def test_what_has_no_form_is_held_to_nothing():
    assert held() is None
    assert held(response_format={"type": "text"}) is None
    for choice in (None, "auto", "none"):
        assert held(tools=[tool()], tool_choice=choice) is None


def test_a_form_and_calls_are_one_or_the_other():
    form = by_schema(SCHEMA)
    assert held(response_format=form).startswith("start: form\nform: %json {")
    both = held(response_format=form, tools=[tool()])
    assert both.startswith("start: form | calls\n")
    assert held(response_format=form, tools=[tool()], tool_choice="none").startswith(
        "start: form\n"
    )
    forced = held(response_format=form, tools=[tool()], tool_choice="required")
    assert forced.startswith("start: calls\n")
    assert "form" not in forced


def test_one_call_or_several():
    more, name = "call_0", {"type": "function", "function": {"name": "now"}}
    assert ")*" in held(tools=[tool()], tool_choice="required")
    assert ")*" not in held(tools=[tool()], tool_choice="required", parallel_tool_calls=False)
    named = held(tools=[tool("then"), tool()], tool_choice=name)
    assert ")*" not in named
    assert "then" not in named
    assert more in named


def test_names_of_functions_are_text_whatever_they_hold():
    name = 'x" | "é\n%json {}'
    made = held(tools=[tool(name)], tool_choice="required")
    (line,) = [line for line in made.splitlines() if line.startswith("call_0:")]
    before = line.removeprefix("call_0: ").partition(" %json {")[0]
    assert json.loads(before) == f'{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": '


def deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"response_format": by_schema({"x-guidance": {"lenient": True}})}, "nothing of JSON"),
        ({"response_format": by_schema(deep(70))}, "64 of them within one another"),
        ({"response_format": by_schema({"enum": [[]] * 1001})}, "1,000 objects and lists"),
        ({"response_format": {"type": "text", "json_schema": {"name": "x", "schema": {}}}},
         "has no `json_schema`"),
        ({"tools": [tool(parameters={"type": "array"})], "tool_choice": "required"},
         "takes is an object"),
        ({"spelling": None, "tools": [tool()], "tool_choice": "required"}, "not read here"),
    ],
)  # fmt: skip
def test_what_no_answer_is_held_to_is_refused(asked, told):
    with pytest.raises(RequestError, match=told) as caught:
        held(**asked)
    assert caught.value.status == 400


def test_a_number_that_is_none_is_refused():
    body = json.dumps({**ASKED, "response_format": by_schema({"minimum": float("nan")})})
    with pytest.raises(RequestError):
        grammar.of(forms.read(body.encode(), forms.ChatForm), lambda: USUAL)


def written(begin: str, end: str, between: str, call: str, *, most: int = 2):
    """Return how a template renders a question and an answer with calls."""

    def render(messages):
        made = messages[1]["tool_calls"]
        if len(made) > most:
            raise ConfigError("one call a turn")
        whole = f"{begin}{call}{end}".replace("A", '{"of": 1}')
        told = [whole.replace("N", one["function"]["name"]) for one in made]
        return f"?>{between.join(told)}<"

    return render


JSON_CALL = '{"name": "N", "arguments": A}'


@pytest.mark.parametrize(
    ("render", "begin", "end", "between"),
    [
        (written("<tool_call>\n", "\n</tool_call>", "\n", JSON_CALL),
         "<tool_call>\n", "\n</tool_call>", "\n"),
        (written("<tool_call>", "</tool_call>", "", JSON_CALL),
         "<tool_call>", "</tool_call>", ""),
        (written("<tool_call>", "</tool_call>", "", JSON_CALL, most=1),
         "<tool_call>", "</tool_call>", None),
        (written("", "", ", ", '{"name":"N","parameters":A}'), "", "", None),
        (lambda messages: "?><", *(USUAL.begin, USUAL.end, USUAL.between)),
    ],
)  # fmt: skip
def test_calls_are_written_as_the_template_writes_them_and_read_again(render, begin, end, between):
    found = calls.spelling(render, "?>")
    assert (found.begin, found.end, found.between) == (begin, end, between)
    before, after = found.around('"f"')
    answer = Called()
    assert answer.add(f'{begin}{before}{{"x": 1}}{after}{end}') == ""
    said, (call,) = answer.end()
    assert (said, call["function"]["name"]) == ("", "f")
    assert json.loads(call["function"]["arguments"]) == {"x": 1}


def test_the_arguments_of_a_call_may_hold_what_calls_are_written_with():
    given = {"x": "}</tool_call>\n<tool_call>{", "y": "<tool_call>"}
    one = json.dumps({"name": "f", "arguments": given})
    answer = Called()
    said = answer.add(
        f"So: <tool_call>{one}</tool_call>\n<tool_call>{one}</tool_call> <tool_call>{{"
    )
    rest, found = answer.end()
    assert [json.loads(call["function"]["arguments"]) for call in found] == [given, given]
    assert (said + rest).split() == ["So:", "<tool_call>{"]


@pytest.mark.parametrize(
    "render",
    [
        written("[CALLS] [", "]", ", ", JSON_CALL),
        written("<function=N>", "</function>", "\n", "A"),
        written("<tool_call>", "</tool_call>", "", '{"name": "N", "arguments": "A"}'),
    ],
)
def test_calls_that_are_not_read_here_are_held_by_nothing(render):
    assert calls.spelling(render, "?>") is None
