"""Question writers behind an OpenAI-compatible endpoint.

One client for all vendors; keys come from the environment and are never stored or shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from bakery.backends.base import Reply
from bakery.errors import BakeryError, StageError

MAX_LIST_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a family of models is served. `key` and `url` name environment variables."""

    name: str
    prefixes: tuple[str, ...]
    key: str
    url: str
    default_url: str


PROVIDERS = (
    Provider(
        "Anthropic",
        ("claude",),
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "https://api.anthropic.com/v1/",
    ),
    Provider(
        "OpenAI",
        ("gpt-", "chatgpt-", "o1", "o3", "o4"),
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
    ),
)
ANY_SERVER = Provider("the server at OPENAI_BASE_URL", (), "OPENAI_API_KEY", "OPENAI_BASE_URL", "")
"""A server of the user's own (vLLM, llama.cpp, Ollama …) for every other model name."""


def provider_of(model: str) -> Provider:
    """Return who serves a model of this name."""
    return next((p for p in PROVIDERS if model.startswith(p.prefixes)), ANY_SERVER)


class HostedWriter:
    """Asks a hosted model for lists of questions."""

    speaks_as_user = False

    def __init__(self, model: str, provider: Provider, key: str, url: str) -> None:
        self.name = model
        self._provider, self._key, self._url = provider, key, url

    def write(self, instruction: str, *, key: str, wanted: int, temperature: float) -> list[Reply]:
        """Ask once; the endpoint's own errors say what is wrong."""
        from openai import APIError, OpenAI

        client = OpenAI(api_key=self._key, base_url=self._url)
        try:
            answer = client.chat.completions.create(
                model=self.name,
                messages=[{"role": "user", "content": instruction}],
                temperature=temperature,
                max_tokens=MAX_LIST_TOKENS,
            )
        except APIError as error:
            raise StageError(
                f"{self._provider.name} did not write questions: {_reason(error)}",
                hint=f"Check {self._provider.key} and the model's name, or leave "
                "`model` out: then the base model writes them.",
            ) from error
        choice = answer.choices[0]
        return [Reply(choice.message.content or "", choice.finish_reason != "length")]


def writer_for(model: str, environment: Mapping[str, str] = os.environ) -> HostedWriter | str:
    """Return the writer of a hosted model's name, or the reason why it cannot be reached."""
    provider = provider_of(model)
    key, url = environment.get(provider.key, ""), environment.get(provider.url, "")
    if provider is ANY_SERVER and not url:
        return "no OPENAI_BASE_URL is set for it"
    if not key and provider is not ANY_SERVER:
        return f"no {provider.key} is set"
    return HostedWriter(model, provider, key or "none", url or provider.default_url)


def _reason(error: BakeryError | Exception) -> str:
    return str(getattr(error, "message", "") or error).strip().splitlines()[0]
