"""Seven shapes of chat template, written for the tests, each with the tokens that it needs.

They are to templates what `models.py` is to models: small, and with the traps of the real ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerFast

from bakery.engine.text.chat import Chat
from tests.support.models import CHATML, byte_tokenizer

# Thinks: the last answer of a finished conversation always shows a thought, if an empty one;
# answers before it lose theirs.
THINKING = """\
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' -%}
{%- set said = message.content or '' -%}
{%- set thought = message.reasoning_content or '' -%}
{%- if '</think>' in said -%}
{%- set thought = said.split('</think>')[0].split('<think>')[-1].strip('\\n') -%}
{%- set said = said.split('</think>')[-1].lstrip('\\n') -%}
{%- endif -%}
{%- if loop.last -%}{{ '<think>\\n' + thought + '\\n</think>\\n\\n' }}{%- endif -%}
{{ said }}
{%- for call in message.tool_calls or [] -%}
{{ '\\n<tool_call>\\n' + call.function | tojson + '\\n</tool_call>' }}
{%- endfor -%}
{%- else -%}{{ message.content }}{%- endif -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{ '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and not enable_thinking -%}
{{ '<think>\\n\\n</think>\\n\\n' }}
{%- endif -%}
{%- endif -%}"""

# Names roles in headers between two tokens, trims what is said, and begins with a token.
LLAMA3 = """\
{{- '<|begin|>' -}}
{%- for message in messages -%}
{{ '<|header|>' + message.role + '<|header_end|>\\n\\n' + message.content | trim + '<|eot|>' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|header|>assistant<|header_end|>\\n\\n' }}{%- endif -%}"""

# Knows no system role, wants user and assistant in turn, calls the assistant `model`.
NO_SYSTEM = """\
{{- '<bos>' -}}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ raise_exception('there is no system role') }}{%- endif -%}
{%- if message.role != ('user', 'assistant')[loop.index0 % 2] -%}
{{ raise_exception('user and assistant must take turns') }}
{%- endif -%}
{{ '<start_of_turn>' + ('model' if message.role == 'assistant' else 'user') + '\\n' }}
{{- message.content | trim + '<end_of_turn>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<start_of_turn>model\\n' }}{%- endif -%}"""

# Moves what the system says into the last user turn, and so needs one.
SYSTEM_TO_LAST_USER = """\
{%- set seen = namespace(system='', last=-1) -%}
{%- for message in messages -%}
{%- if message.role == 'system' -%}{%- set seen.system = message.content + '\\n\\n' -%}{%- endif -%}
{%- if message.role == 'user' -%}{%- set seen.last = loop.index0 -%}{%- endif -%}
{%- endfor -%}
{%- if seen.last < 0 -%}{{ raise_exception('nobody asks anything') }}{%- endif -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
{{ '[INST]' + (seen.system if loop.index0 == seen.last else '') + message.content + '[/INST]' }}
{%- elif message.role == 'assistant' -%}{{ message.content + '</s>' }}
{%- endif -%}
{%- endfor -%}"""

# Puts a system prompt of its own where there is none.
DEFAULT_SYSTEM = """\
{%- if messages[0].role != 'system' -%}
{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}
{%- endif -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] -%}
{{ '<tool_call>' + call.function | tojson + '</tool_call>' }}
{%- endfor -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""

# Shows tools in a system turn of their own, and calls; thoughts only of the last answer.
TOOLS = """\
{%- if tools -%}
{{ '<|im_start|>system\\n' }}
{%- for tool in tools -%}{{ tool | tojson + '\\n' }}{%- endfor -%}
{{ '<|im_end|>\\n' }}
{%- endif -%}
{%- for message in messages -%}
{{ '<|im_start|>' + message.role + '\\n' + (message.content or '') }}
{%- for call in message.tool_calls or [] -%}
{{ '<tool_call>' + call.function | tojson + '</tool_call>' }}
{%- endfor -%}
{{ '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""


@dataclass(frozen=True, slots=True)
class Shape:
    """A template, the tokens that it needs besides ChatML's, and the one that ends a turn."""

    template: str
    tokens: tuple[str, ...] = ()
    end: str = "<|im_end|>"


SHAPES = {
    "chatml": Shape(CHATML),
    "thinking": Shape(THINKING),
    "llama3": Shape(LLAMA3, ("<|begin|>", "<|header|>", "<|header_end|>", "<|eot|>"), "<|eot|>"),
    "no_system": Shape(NO_SYSTEM, ("<bos>", "<start_of_turn>", "<end_of_turn>"), "<end_of_turn>"),
    "system_to_last_user": Shape(SYSTEM_TO_LAST_USER, ("[INST]", "[/INST]", "</s>"), "</s>"),
    "default_system": Shape(DEFAULT_SYSTEM),
    "tools": Shape(TOOLS),
}


def tokenizer_of(shape: str) -> PreTrainedTokenizerFast:
    """Return a byte tokenizer with the template of a shape."""
    tokenizer = byte_tokenizer(SHAPES[shape].template)
    tokenizer.add_tokens(list(SHAPES[shape].tokens), special_tokens=True)
    return tokenizer


def chat_of(shape: str, **template_kwargs: Any) -> Chat:
    """Return a chat in the template of a shape."""
    tokenizer = tokenizer_of(shape)
    end = tokenizer.convert_tokens_to_ids(SHAPES[shape].end)
    return Chat(tokenizer, [end], template_kwargs=template_kwargs)
