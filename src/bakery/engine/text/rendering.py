"""Messages to text by a chat template, whoever wrote it: it may take so much, and no more.

What is rendered is what `apply_chat_template` of transformers renders, in a process of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedTokenizerBase

from bakery import bounded, tiny
from bakery.errors import ConfigError, ModelError
from bakery.records import Message


class RefusedByTemplateError(Exception):
    """The template raised an error: it takes no such messages."""


class NestedTooDeeplyError(ConfigError):
    """Messages hold more levels than can be written out."""


def text_of(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    template: str | None = None,
    **how: Any,
) -> str:
    """Return what a tokenizer's template, or another one, makes of messages."""
    given = list(messages), list(tools) or None
    try:
        source = template or tokenizer.get_chat_template(tools=given[1])
        if _is_of_transformers(tokenizer) and source != _ours():
            special = dict(tokenizer.special_tokens_map)
            return str(bounded.call(_rendered, source, special, *given, how))
        return str(
            tokenizer.apply_chat_template(
                given[0], tools=given[1], chat_template=template, tokenize=False, **how
            )
        )
    except bounded.BeyondError as error:
        raise ModelError(
            f"the base model's chat template does not come to an end: {error}",
            hint="It may be broken, or made to do harm: take another base model.",
        ) from error
    except bounded.FailedError as error:
        if error.kind == RecursionError.__name__:
            raise _too_deep() from error
        raise RefusedByTemplateError(str(error) or error.kind) from error
    except RecursionError as error:
        raise _too_deep() from error
    except OSError:  # no room for the other process: that is not the template's doing
        raise
    except Exception as error:  # a template can raise anything
        raise RefusedByTemplateError(str(error) or type(error).__name__) from error


def _too_deep() -> NestedTooDeeplyError:
    return NestedTooDeeplyError(
        "a message, a tool or a call is nested too deeply for a chat template",
        hint="Lists and objects in it may lie some hundred levels deep.",
    )


def _is_of_transformers(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Tell whether it renders as all do: some tokenizers have their own way, without Jinja."""
    usual = PreTrainedTokenizerBase.apply_chat_template
    return getattr(type(tokenizer), "apply_chat_template", None) is usual


@cache
def _ours() -> str:
    path = Path(str(tiny.__file__)).with_name("chat_template.jinja")
    return path.read_text(encoding="utf-8")


class _Shell:
    """What `apply_chat_template` asks a tokenizer for."""

    def __init__(self, template: str, special: dict[str, Any]) -> None:
        self._template, self.special_tokens_map = template, special

    def get_chat_template(self, chat_template: str | None = None, tools: Any = None) -> str:
        return self._template


def _rendered(
    template: str, special: dict[str, Any], messages: list[Message], tools: Any, how: dict[str, Any]
) -> str:
    shell = cast(PreTrainedTokenizerBase, _Shell(template, special))
    return str(
        PreTrainedTokenizerBase.apply_chat_template(
            shell, messages, tools=tools, tokenize=False, **how
        )
    )
