"""One client for all OpenAI-compatible endpoints: who serves a model, requests, errors.

Keys come from the environment and are never stored or shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

from bakery import masking
from bakery.backends import addresses
from bakery.backends.arriving import Arriving, CutShortError
from bakery.backends.base import RefusedError
from bakery.backends.completion import Completion, Continuation, completion, continuation
from bakery.backends.todo import ToDo
from bakery.errors import StageError
from bakery.records import Message
from bakery.schema.model_names import FAMILIES, served_as

if TYPE_CHECKING:
    from openai import OpenAI

Answer = TypeVar("Answer")

RETRIES = 5
"""Of a request that met a busy or broken server (408, 409, 429, 5xx) or no connection: after the
time that the server names, else after ½, 1, 2, 4 and 8 seconds."""

TIMEOUT_S = 300.0
"""Of one try: so long may the server say nothing, where TIMEOUT does not say otherwise."""

TIMEOUT = "BGIT_TIMEOUT"
"""The environment variable that holds another number of seconds."""

SILENCE_S = (RETRIES + 1) * TIMEOUT_S + 360.0
"""So long may no answer at all be complete, however often each request is tried. Another time for
one try changes it."""

SHOWN = 300
"""Characters of what a server said that are shown."""

REFUSED = (400, 413, 422)
"""What a server says to one request that it does not take: another one may be answered."""

ABSENT = (404, 405, 501)
"""What a server says that continues no token ids, or does not know the model."""

MORE_TRIED = 2
"""Where all first requests are refused, so many others have to be, before no more are made."""


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

OPEN_WEIGHTS = re.compile(r"gpt-(oss|j|neo)\b|(?!ft:)[^/]*:")
"""Names that no provider serves, though they begin like its own: models that anybody may run, and
any with a tag, as Ollama writes them (`gpt-oss:20b`)."""


def provider_of(model: str) -> Provider:
    """Return who serves a model of this name."""
    if OPEN_WEIGHTS.match(model):
        return ANY_SERVER
    return next((p for p in PROVIDERS if model.startswith(p.prefixes)), ANY_SERVER)


class Endpoint:
    """A model behind a URL."""

    def __init__(
        self, model: str, provider: Provider, key: str, url: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        self.model, self.provider = model, provider
        self._key, self._url, self._timeout_s = key, url, timeout_s
        self.masked = 0
        """Answers that said a secret back."""
        self._arriving = Arriving(timeout_s)
        masking.keep(key, *masking.of_address(url))
        self._made: OpenAI | None = None

    @property
    def is_own(self) -> bool:
        """Whether it is a server of the user's own, whose defaults may be anything."""
        vendors = [urlsplit(p.default_url).hostname for p in PROVIDERS]
        return self.provider is ANY_SERVER and urlsplit(self._url).hostname not in vendors

    def complete(self, messages: Sequence[Message], **arguments: Any) -> Completion:
        """Ask once, and again where that can help; StageError says what to do."""
        create = self._client().chat.completions.create
        asked = partial(create, model=self.model, messages=list(messages), **arguments)
        return self._without_secrets(self._answered(asked, completion))

    def go_on(self, ids: Sequence[int], *, max_tokens: int, top: int) -> Continuation:
        """Have token ids continued, greedily, with the likeliest first tokens; as `complete`.

        RefusedError where the server continues no token ids, too.
        """
        create = self._client().completions.create
        asked = partial(
            create, model=self.model, prompt=list(ids), max_tokens=max_tokens, temperature=0.0,
            logprobs=top,
        )  # fmt: skip
        return self._answered(asked, continuation, refused=(*REFUSED, *ABSENT))

    def _answered(
        self,
        create: Callable[[], Any],
        read: Callable[[Any], Answer],
        *,
        refused: Collection[int] = REFUSED,
    ) -> Answer:
        """Ask once, and again where that can help; StageError says what to do."""
        from openai import OpenAIError

        try:
            answer = self._arriving.within(create)
        except CutShortError as error:
            raise StageError(
                f"{self._who()} sent a reply that is no answer: {error}",
                hint=f"What is behind {self.provider.url}? {TIMEOUT} in the environment sets the "
                "seconds that a reply may take.",
            ) from None
        except OpenAIError as error:
            raise self._failed(error, refused) from _cause(error)
        except (ValueError, RecursionError) as error:
            raise self._no_answer(f"the reply is not JSON ({error})") from _cause(error)
        try:
            return read(answer)
        except (ValueError, RecursionError) as error:
            raise self._no_answer(f"the reply cannot be read ({error})") from error
        except (AttributeError, LookupError, TypeError) as error:
            raise self._no_answer(f"{answer!r:.{SHOWN * 10}}") from _cause(error)

    def complete_all(
        self, requests: Mapping[str, Mapping[str, Any]], concurrency: int
    ) -> Iterator[tuple[str, Completion]]:
        """Yield answers by key as they come, so many requests at a time.

        Where one fails for good, those under way are waited for before its error is raised. One
        that is refused by itself stops no other: `RefusedError` says at the end which those were.
        """
        self._client()  # once, before threads ask for it
        working = min(concurrency, len(requests))
        todo = ToDo(requests, enough=working + MORE_TRIED)
        done: SimpleQueue[tuple[str, Completion | BaseException] | None] = SimpleQueue()

        def work() -> None:
            while (key := todo.next()) is not None:
                try:
                    answer = self.complete(**requests[key])
                except RefusedError as error:
                    todo.refuse(key, error)
                    done.put((key, error))
                except BaseException as error:  # raised where the answers are read
                    todo.stop()
                    done.put((key, error))
                else:
                    todo.answered()
                    done.put((key, answer))
            done.put(None)

        for _ in range(working):
            Thread(target=work, daemon=True).start()
        failed: BaseException | None = None
        silence_s = SILENCE_S + (RETRIES + 1) * (self._timeout_s - TIMEOUT_S)
        try:
            while working:
                outcome = done.get(timeout=silence_s)
                if outcome is None:
                    working -= 1
                elif isinstance(outcome[1], Completion):
                    yield outcome[0], outcome[1]
                elif not isinstance(outcome[1], RefusedError):
                    failed = failed or outcome[1]
        except Empty:
            raise StageError(
                f"{self._who()} has completed no answer in {silence_s / 60:.0f} minutes.",
                hint="The answers received so far are kept: the same command asks for the rest.",
            ) from None
        finally:
            todo.stop()
        if failed is not None:
            raise failed
        if todo.refused:
            raise self._refused(todo)

    def close(self) -> None:
        """Hang up; whoever asks again has a new connection."""
        if self._made is not None:
            self._made.close()
            self._made = None

    def _client(self) -> OpenAI:
        if self._made is None:
            from openai import DefaultHttpxClient, OpenAI

            parts = urlsplit(self._url)
            try:
                self._made = OpenAI(
                    api_key=self._key,
                    base_url=parts._replace(query="", fragment="").geturl(),
                    default_query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                    max_retries=RETRIES,
                    timeout=self._timeout_s,
                    http_client=DefaultHttpxClient(event_hooks=self._arriving.hooks),
                )
            except Exception as error:  # the classes differ between versions of the client
                raise self._unusable(error) from error
        return self._made

    def _without_secrets(self, said: Completion) -> Completion:
        """Return an answer without what this process alone should know: it would be learnt."""
        text, refusal = (masking.masked(part, data=True) for part in (said.text, said.refusal))
        calls = tuple(map(_masked, said.tool_calls))
        if (text, refusal, calls) == (said.text, said.refusal, said.tool_calls):
            return said
        self.masked += 1
        return replace(said, text=text, refusal=refusal, tool_calls=calls)

    def _who(self) -> str:
        return f"{self.provider.name} ({self.model})"

    def _refused(self, todo: ToDo) -> RefusedError:
        """Return the first refusal, with what was said to each."""
        first, who = next(iter(todo.refused.values())), f"{self._who()}: "
        reasons = {key: error.message.removeprefix(who) for key, error in todo.refused.items()}
        return RefusedError(first.message, hint=first.hint, reasons=reasons, gave_up=todo.gave_up)

    def _unusable(self, error: Exception) -> StageError:
        """Return what to tell where no client can be made: it reads the proxies as it is made."""
        name = addresses.proxy_at_fault(os.environ)
        why = str(error)
        hint = "Check the proxy and the certificates that this machine is set to."
        if name is not None:
            why = f"{name} in the environment is not a usable proxy: "
            why += addresses.shown(os.environ[name])
            hint = f"Set it to an address that begins with http://, or unset {name}."
        return StageError(f"{self._who()} cannot be asked: {why}", hint=hint)

    def _no_answer(self, said: str) -> StageError:
        return StageError(
            f"{self._who()} sent a reply without an answer: {_brief(said)}",
            hint=f"Is {self.provider.url} the address of a chat-completions API?",
        )

    def _failed(self, error: Exception, refused: Collection[int]) -> StageError:
        """Return what to tell of an error, and what to do; never the key."""
        said = str(getattr(error, "message", "") or error).strip()
        reason = _brief(said.splitlines()[0]) if said else type(error).__name__
        status = getattr(error, "status_code", None)
        hint = _HINTS.get(status or 0, "")
        if _is_slow(error):
            reason = f"no answer within {self._timeout_s:g} s"
            hint = (
                f"It was tried {RETRIES + 1} times. Lower max_tokens or max_concurrency, or set "
                f"{TIMEOUT} in the environment to more seconds."
            )
        elif status is None:
            reason = f"cannot be reached at {addresses.shown(self._url)}: {reason}"
            hint = f"Is the machine online, and {{url}} right? It was tried {RETRIES + 1} times."
        elif status >= 500:
            hint = "The server failed: try again later."
        text = f"{self._who()}: {reason}" + (f" (HTTP {status})" if status else "")
        hint = hint.format(key=self.provider.key, url=self.provider.url, model=self.model)
        kind = RefusedError if status in refused else StageError
        return kind(text, hint=hint or "What it was sent is in request.json.")


_HINTS = {
    400: "The endpoint does not take one of the settings: its message says which.",
    401: "Check {key} in the environment.",
    402: "The account has no credit left.",
    403: "The key in {key} may not use {model}.",
    404: "Check the model's name, {model}, and {url}.",
    408: "The server was too slow: try again later, or lower max_concurrency.",
    413: "The request is too long for the endpoint: shorten the prompt, or lower max_tokens.",
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
        return f"{provider.key} holds a character that no key can have"
    if url and not addresses.is_address(url):
        return f"{provider.url} is not an address: {addresses.shown(url)}"
    seconds = environment.get(TIMEOUT, "").strip() or f"{TIMEOUT_S:.0f}"
    if not (seconds.isdecimal() and int(seconds)):
        return f"{TIMEOUT} is not a whole number of seconds: {seconds}"
    return Endpoint(name, provider, key or "none", url or provider.default_url, int(seconds))


def _masked(value: Any) -> Any:
    """Return what a call holds without secrets."""
    if isinstance(value, str):
        return masking.masked(value, data=True)
    if isinstance(value, list):
        return [_masked(item) for item in value]
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in value.items()}
    return value


def _brief(said: str) -> str:
    """Return the beginning of what a server said; what is secret in it goes before it is cut."""
    text = masking.masked(said[: SHOWN * 10])
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"


def _cause(error: Exception) -> Exception | None:
    """Return an error to name as the cause of another; None: a traceback would tell a secret."""
    return error if masking.masked(str(error)) == str(error) else None


def _is_slow(error: Exception) -> bool:
    """Tell whether a server was reached and said nothing; a connection may be slow to make, too."""
    from openai import APITimeoutError

    return isinstance(error, APITimeoutError) and "Connect" not in type(error.__cause__).__name__
