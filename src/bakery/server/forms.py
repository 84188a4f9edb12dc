"""What may be asked, as OpenAI's API has it: checked, and refused where it could not be kept."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from bakery.server.errors import RequestError

MOST_CHOICES = 128
MOST_TOP = 20
"""Likeliest tokens that are told with each."""
MOST_MESSAGES = 1 << 14

Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Id = Annotated[int, Field(ge=0)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Stops = Annotated[list[Annotated[str, Field(min_length=1, max_length=500)]] | None,
                  BeforeValidator(_listed), Field(max_length=16)]  # fmt: skip


class _Form(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )


class StreamOptions(_Form):
    """What a stream tells beside its text."""

    include_usage: bool | None = None
    include_obfuscation: Any = None


class _Sampling(_Form):
    """How answers are made, and what of OpenAI's changes nothing here."""

    model: str = Field(min_length=1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    top_k: int | None = Field(None, ge=-1)
    min_p: float | None = Field(None, ge=0, le=1)
    repetition_penalty: float | None = Field(None, ge=0.01, le=10)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    n: int | None = Field(None, ge=1, le=MOST_CHOICES)
    seed: Seed | None = None
    stop: Stops = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logit_bias: dict[str, float] | None = None
    user: Any = None

    def refused(self) -> str | None:
        """Return what of OpenAI's a request asks for that is not kept here; None: nothing."""
        return "logit_bias" if self.logit_bias else None


class FunctionCall(_Form):
    """The name of a function, and its arguments as JSON text."""

    name: str
    arguments: str = ""


class ToolCall(_Form):
    """A call that an answer made."""

    id: str | None = None
    type: Literal["function"] = "function"
    function: FunctionCall
    index: Any = None


class Message(_Form):
    """Who says what. What of an answer of ours comes back with it is understood."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    refusal: Any = None
    audio: None = None
    annotations: Any = None
    function_call: None = None

    def as_said(self) -> dict[str, Any]:
        """Return it as chat templates read it."""
        said = self.model_dump(
            exclude_none=True, exclude={"refusal", "audio", "annotations", "function_call"}
        )
        if self.role == "developer":
            said["role"] = "system"
        if self.role == "assistant" and self.content is None:
            said["content"] = ""
        return said


class Function(_Form):
    """What a tool is, to the model."""

    name: str = Field(min_length=1, max_length=64)
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(_Form):
    """Something that an answer may call."""

    type: Literal["function"]
    function: Function

    def as_said(self) -> dict[str, Any]:
        """Return it as chat templates read it."""
        function = self.function
        return {
            "type": "function",
            "function": {
                "name": function.name,
                "description": function.description or "",
                "parameters": function.parameters or {"type": "object", "properties": {}},
            },
        }


class NamedFunction(_Form):
    """A function by its name."""

    name: str = Field(min_length=1, max_length=64)


class NamedTool(_Form):
    """The tool that an answer has to call."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchema(_Form):
    """A schema of an answer. It is held, whether it is said to be `strict` or not."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(_Form):
    """What an answer has to be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class ChatForm(_Sampling):
    """A body of POST /v1/chat/completions."""

    messages: list[Message] = Field(min_length=1, max_length=MOST_MESSAGES)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=MOST_TOP)
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    modalities: list[str] | None = None
    audio: Any = None
    functions: Any = None
    function_call: Any = None
    reasoning_effort: Any = None
    web_search_options: Any = None
    metadata: Any = None
    prediction: Any = None
    prompt_cache_key: Any = None
    prompt_cache_retention: Any = None
    safety_identifier: Any = None
    service_tier: Any = None
    store: Any = None

    def refused(self) -> str | None:
        """Return what of OpenAI's a request asks for that is not kept here; None: nothing."""
        if self.modalities not in (None, ["text"]):
            return "modalities"
        names = ("audio", "functions", "function_call", "reasoning_effort", "web_search_options")
        for name in names:
            if getattr(self, name) is not None:
                return name
        return "store" if self.store else super().refused()


class TextForm(_Sampling):
    """A body of POST /v1/completions. A prompt is text or token ids, one or a list of them."""

    prompt: str | list[Id] | list[str] | list[list[Id]]
    max_tokens: int | None = Field(None, ge=0)
    logprobs: int | None = Field(None, ge=0, le=MOST_TOP)
    echo: bool | None = None
    best_of: int | None = None
    suffix: str | None = None

    def refused(self) -> str | None:
        """Return what of OpenAI's a request asks for that is not kept here; None: nothing."""
        if self.best_of not in (None, self.n or 1):
            return "best_of"
        return "suffix" if self.suffix else super().refused()

    def prompts(self) -> list[str | list[int]]:
        """Return each prompt by itself."""
        given: Any = self.prompt
        is_one = isinstance(given, str) or not given or isinstance(given[0], int)
        return [given] if is_one else given


_WHY = {
    "reasoning_effort": "How long a model thinks is its template's own.",
    "store": "Neither questions nor answers are kept here: leave it out.",
}

Form = TypeVar("Form", ChatForm, TextForm)


def read(body: bytes, kind: type[Form]) -> Form:
    """Return what a body asks for; RequestError says what is wrong with it, and where."""
    try:
        form = kind.model_validate_json(body)
    except ValidationError as error:
        raise _wrong(error) from None
    if (param := form.refused()) is not None:
        why = _WHY.get(param, "Leave it out.")
        raise RequestError(
            400, f"`{param}` as it is asked for is not supported by this server. {why}",
            code="unsupported_parameter", param=param,
        )  # fmt: skip
    return form


def _wrong(error: ValidationError) -> RequestError:
    """Return the first mistake; what was sent is not repeated."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    one = min(found, key=lambda e: -len(e["loc"]))
    param = ".".join(str(part) for part in one["loc"] if not _is_branch(part)) or None
    if one["type"] == "extra_forbidden":
        told, code = f"Unrecognized request argument supplied: {param}", "unknown_parameter"
    elif one["type"] == "json_invalid":
        told, code = "We could not parse the JSON body of your request.", "invalid_json"
    elif one["type"] == "missing":
        told, code = f"Missing required parameter: '{param}'.", "missing_required_parameter"
    else:
        of = f"'{param}'" if param else "the body"
        told, code = f"Invalid value for {of}: {one['msg']}.", "invalid_value"
    return RequestError(400, told, code=code, param=param)


def _is_branch(part: int | str) -> bool:
    """Tell whether a part of a place is the name of a type, where a value may have several."""
    return isinstance(part, str) and (part in ("str", "int", "NamedTool") or "[" in part)
