"""`PROMPT`: named lists of chat messages, with the tools that a template may show.

Messages and tools are checked and kept as they were written, down to the order of their keys:
a chat template may print them whole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from bakery.records import Message, Prompt
from bakery.schema.common import AsWritten, Name, Section
from bakery.yaml import text as yaml_text

TEACHER, STUDENT = "teacher", "student"
"""The prompts that a target takes where it names none."""

Text = Annotated[str, Field(min_length=1)]


class _Open(BaseModel):
    """A mapping whose further keys are the chat template's business."""

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)


class CalledFunction(_Open):
    """What is called, and with what."""

    name: Annotated[Text, Field(description="The function's name.")]
    arguments: Annotated[
        dict[str, Any] | str,
        Field(description="A mapping, or JSON in a text, as the chat template wants it."),
    ] = {}


class ToolCall(_Open):
    """One call that an assistant's message makes."""

    id: Annotated[
        str | None,
        Field(description="What the answering `tool` message repeats as `tool_call_id`."),
    ] = None
    type: Annotated[Literal["function"], Field(description="Only functions are called.")] = (
        "function"
    )
    function: Annotated[CalledFunction, Field(description="The function and its arguments.")]


class TextPart(_Open):
    """A part of a message's content."""

    type: Annotated[
        Literal["text"], Field(description="Only text can be baked into a text model.")
    ] = "text"
    text: Annotated[str, Field(description="What the part says.")]


class MessageShape(_Open):
    """One chat message; keys that are not named here reach the chat template as they are."""

    role: Annotated[
        Literal["system", "developer", "user", "assistant", "tool"],
        Field(description="Who speaks."),
    ]
    content: Annotated[
        str | tuple[TextPart, ...] | None,
        Field(description="Text, or a list of parts of text. `null`: it only calls."),
    ] = None
    content_file: Annotated[
        Text | None,
        Field(
            description="A text file beside input.yml, instead of `content`: what it says is "
            "baked as if it stood here, without the line end behind its last line."
        ),
    ] = None
    tool_calls: Annotated[
        tuple[ToolCall, ...] | None,
        Field(description="The functions that an assistant's message calls."),
    ] = None
    tool_call_id: Annotated[
        str | None, Field(description="Which call a `tool` message answers.")
    ] = None
    reasoning_content: Annotated[
        str | None, Field(description="What an assistant thought before it spoke.")
    ] = None

    @field_validator("content", mode="before")
    @classmethod
    def _is_text(cls, content: Any) -> Any:
        if content is not None and not isinstance(content, str | Sequence):
            raise ValueError("is not text: put quotes around it")
        return content

    @model_validator(mode="after")
    def _is_whole(self) -> MessageShape:
        for key in self.model_extra or {}:
            if guess := yaml_text.nearest(key, list(type(self).model_fields)):
                raise ValueError(f"unknown key `{key}`: did you mean `{guess}`?")
        if self.content is not None and self.content_file is not None:
            raise ValueError("content and content_file are both given: keep one")
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"only an assistant calls tools, not the {self.role}")
        if (
            self.content is None
            and self.content_file is None
            and not self.tool_calls
            and self.role not in ("system", "developer")
        ):
            raise ValueError(f"this {self.role} message has no content")
        return self


class Parameters(_Open):
    """A JSON Schema of a function's arguments."""

    type: Annotated[Literal["object"], Field(description="Arguments have names.")] = "object"
    properties: Annotated[
        dict[str, Any], Field(description="Each argument's own schema by its name.")
    ] = {}
    required: Annotated[tuple[str, ...], Field(description="Arguments that every call gives.")] = ()

    @model_validator(mode="after")
    def _knows_what_it_requires(self) -> Parameters:
        for name in self.required:
            if name not in self.properties:
                raise ValueError(f"requires {name!r}, which is not in `properties`")
        return self


class ToolFunction(_Open):
    """A function that the model may call."""

    name: Annotated[Text, Field(description="What the model calls it by.")]
    description: Annotated[str | None, Field(description="What it does, for the model.")] = None
    parameters: Annotated[
        Annotated[dict[str, Any], AsWritten(Parameters)] | None,
        Field(description="Its arguments, as a JSON Schema of type `object`."),
    ] = None


class Tool(_Open):
    """One tool, in the format of OpenAI's function calling."""

    type: Annotated[Literal["function"], Field(description="Only functions are tools.")]
    function: Annotated[ToolFunction, Field(description="The function.")]

    @model_validator(mode="before")
    @classmethod
    def _is_wrapped(cls, tool: Any) -> Any:
        if isinstance(tool, Mapping) and "name" in tool and "function" not in tool:
            raise ValueError(
                "a tool is {type: function, function: {name, description, parameters}}: "
                "put what is here under `function`"
            )
        return tool


Messages = tuple[Annotated[Message, AsWritten(MessageShape)], ...]
Tools = tuple[Annotated[dict[str, Any], AsWritten(Tool)], ...]


class PromptSection(Section):
    """One named prompt: `PROMPT.teacher`, `PROMPT.student`, and others that targets name."""

    name: Annotated[Name | None, Field(description="A label for people; changes nothing.")] = None
    messages: Annotated[
        Messages,
        Field(description="Chat messages. The question follows them as the last user turn."),
    ] = ()
    tools: Annotated[
        Tools, Field(description="Functions that the chat template shows to the model.")
    ] = ()

    @field_validator("messages", "tools", mode="before")
    @classmethod
    def _none_where_unsaid(cls, value: Any) -> Any:
        return () if value is None else value

    def prompt(self) -> Prompt:
        """Return the messages as authored; a lone empty system message means "no prompt"."""
        empty = [m for m in self.messages if m["role"] == "system" and not _says(m)]
        kept = () if len(empty) == len(self.messages) else self.messages
        return Prompt(kept, self.tools)


def system(text: str) -> PromptSection:
    """Return a text as the prompt that it is short for: one system message."""
    return PromptSection(messages=({"role": "system", "content": text},))


def _says(message: Message) -> bool:
    content = message.get("content")
    if isinstance(content, list | tuple):
        return any(part["text"] for part in content)
    return bool(content)
