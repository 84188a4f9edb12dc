"""One client for all OpenAI-compatible endpoints: who serves a model, requests, errors.

Keys come from the environment and are never stored or shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bakery.errors import StageError
from bakery.records import Message
from bakery.schema.model_names import FAMILIES, served_as

if TYPE_CHECKING:
    from openai import OpenAI

RETRIES = 5
"""Of a request that met a busy or broken server (408, 409, 429, 5xx) or no connection: after the
time that the server names, else after ½, 1, 2, 4 and 8 seconds."""

TIMEOUT_S = 300.0
"""Of one try: so long may the server say nothing."""

SILENCE_S = (RETRIES + 1) * TIMEOUT_S + 60.0
"""So long may no answer at all be complete: a server that sends a byte now and then never times
out by itself."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where a family of models is served. `key` and `url` name environment variables."""

    name: str
    prefixes: tuple[str, ...]
    key: str
    url: str
    default_url: str
    limit: str = "max_tokens"
    """What the endpoint calls the most tokens of a reply."""


PROVIDERS = (
    Provider(
        "Anthropic",
        FAMILIES["Anthropic"],
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "https://api.anthropic.com/v1/",
    ),
    Provider(
        "OpenAI",
        FAMILIES["OpenAI"],
        "OPENAI_API_KEY",
        "OPENAI_BASE_URL",
        "https://api.openai.com/v1",
        limit="max_completion_tokens",
    ),
)
ANY_SERVER = Provider("the server at OPENAI_BASE_URL", (), "OPENAI_API_KEY", "OPENAI_BASE_URL", "")
"""A server of the user's own (vLLM, llama.cpp, Ollama …) for every other model name."""


def provider_of(model: str) -> Provider:
    """Return who serves a model of this name."""
    return next((p for p in PROVIDERS if model.startswith(p.prefixes)), ANY_SERVER)


@dataclass(frozen=True, slots=True)
class Completion:
    """What an endpoint answered; `finish` is its own word (`stop`, `length`, `tool_calls` …)."""

    text: str
    finish: str
    tool_calls: tuple[dict[str, Any], ...] = ()


class Endpoint:
    """A model behind a URL."""

    def __init__(self, model: str, provider: Provider, key: str, url: str) -> None:
        self.model, self.provider = model, provider
        self._key, self._url = key, url
        self._made: OpenAI | None = None

    def complete(self, messages: Sequence[Message], **arguments: Any) -> Completion:
        """Ask once, and again where that can help; StageError says what to do."""
        from openai import OpenAIError

        try:
            answer = self._client().chat.completions.create(
                model=self.model,
                messages=list(messages),  # type: ignore[arg-type]  # as the user wrote them
                **arguments,
            )
        except OpenAIError as error:
            raise self._failed(error) from error
        except (ValueError, RecursionError) as error:
            raise self._no_answer(f"what came is no JSON ({error})") from error
        try:
            return _completion(answer)
        except (AttributeError, LookupError, TypeError) as error:
            raise self._no_answer(repr(answer)) from error

    def complete_all(
        self, requests: Mapping[str, Mapping[str, Any]], concurrency: int
    ) -> Iterator[tuple[str, Completion]]:
        """Yield answers by key as they come, so many requests at a time.

        Where one fails for good, those under way are waited for before its error is raised.
        """
        self._client()  # once, before threads ask for it
        todo: SimpleQueue[str] = SimpleQueue()
        done: SimpleQueue[tuple[str, Completion | BaseException] | None] = SimpleQueue()
        stop = Event()
        for key in requests:
            todo.put(key)

        def work() -> None:
            while not (stop.is_set() or todo.empty()):
                try:
                    key = todo.get_nowait()
                except Empty:
                    break
                try:
                    done.put((key, self.complete(**requests[key])))
                except BaseException as error:  # raised where the answers are read
                    stop.set()
                    done.put((key, error))
            done.put(None)

        working = min(concurrency, len(requests))
        for _ in range(working):
            Thread(target=work, daemon=True).start()
        failed: BaseException | None = None
        try:
            while working:
                outcome = done.get(timeout=SILENCE_S)
                if outcome is None:
                    working -= 1
                elif isinstance(outcome[1], Completion):
                    yield outcome[0], outcome[1]
                else:
                    failed = failed or outcome[1]
        except Empty:
            raise StageError(
                f"{self._who()} has completed no answer in {SILENCE_S / 60:.0f} minutes.",
                hint="The answers that came are kept: the same command asks for the others.",
            ) from None
        finally:
            stop.set()
        if failed is not None:
            raise failed

    def _client(self) -> OpenAI:
        if self._made is None:
            from openai import OpenAI

            self._made = OpenAI(
                api_key=self._key, base_url=self._url, max_retries=RETRIES, timeout=TIMEOUT_S
            )
        return self._made

    def _who(self) -> str:
        return f"{self.provider.name} ({self.model})"

    def _safe(self, text: str) -> str:
        return text.replace(self._key, "…") if len(self._key) > 4 else text

    def _no_answer(self, said: str) -> StageError:
        return StageError(
            f"{self._who()} answered without an answer: {self._safe(said)[:200]}",
            hint=f"Is {self.provider.url} the address of a chat-completions API?",
        )

    def _failed(self, error: Exception) -> StageError:
        """Return what to tell of an error, and what to do; never the key."""
        said = self._safe(str(getattr(error, "message", "") or error).strip())
        reason = said.splitlines()[0] if said else type(error).__name__
        status = getattr(error, "status_code", None)
        hint = _HINTS.get(status or 0, "")
        if status is None:
            reason = f"cannot be reached at {_shown(self._url)}: {reason}"
            hint = f"Is the machine online, and {{url}} right? It was tried {RETRIES + 1} times."
        elif status >= 500:
            hint = "The server has a fault of its own: try again later."
        text = f"{self._who()}: {reason}" + (f" (HTTP {status})" if status else "")
        hint = hint.format(key=self.provider.key, url=self.provider.url, model=self.model)
        return StageError(text, hint=hint or "What it was sent is in request.json.")


_HINTS = {
    400: "The endpoint does not take one of the settings: its message says which.",
    401: "Check {key} in the environment.",
    402: "The account has no credit left.",
    403: "The key in {key} may not use {model}.",
    404: "Check the model's name, {model}, and {url}.",
    408: "The server was too slow: try again later, or lower max_concurrency.",
    422: "The endpoint does not take one of the settings: its message says which.",
    429: "Too many requests, or the account's quota is used up: lower max_concurrency, or wait.",
}


def endpoint_for(model: str, environment: Mapping[str, str] = os.environ) -> Endpoint | str:
    """Return the endpoint of a hosted model's name, or the reason why it cannot be reached."""
    name = served_as(model)
    provider = provider_of(name)
    key, url = (environment.get(name, "").strip() for name in (provider.key, provider.url))
    if provider is ANY_SERVER and not url:
        return "no OPENAI_BASE_URL is set for it"
    if not key and provider is not ANY_SERVER:
        return f"no {provider.key} is set"
    if not (key.isascii() and key.isprintable()):
        return f"{provider.key} holds a character that no key has"
    if url and not _is_address(url):
        return f"{provider.url} is no address: {_shown(url)}"
    return Endpoint(name, provider, key or "none", url or provider.default_url)


def _completion(answer: Any) -> Completion:
    """Return what an endpoint said; TypeError and the like where that is no answer.

    A server may say anything: fields are missing, or hold what no field of that name holds.
    """
    choice = answer.choices[0]
    text = choice.message.content or ""
    calls = tuple(call.model_dump() for call in choice.message.tool_calls or ())
    # Half of a character pair is no text, and could not be written down.
    return Completion(
        text.encode("utf-8", "replace").decode(), str(choice.finish_reason or "unknown"), calls
    )


def _shown(url: str) -> str:
    """Return an address without the name and password that it may hold."""
    scheme, mark, rest = url.rpartition("://")
    return f"{scheme}{mark}{rest.rpartition('@')[2]}"


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number, brackets that do not close
        return False
