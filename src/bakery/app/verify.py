"""Is what a server answers as the bake that it says it serves? Its probes are asked, and compared.

A server may have ignored the adapter, loaded another one, or compute in half precision. Token ids
are sent where it takes them, so that no template stands between; else messages, and then only
greedy answers are compared, as nothing says which template it used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bakery.app import meaning, probed
from bakery.app.meaning import Meant
from bakery.app.probed import Asked
from bakery.backends import addresses
from bakery.backends.base import RefusedError
from bakery.errors import ConfigError, ModelError
from bakery.evals.verifying import Figures, Heard, Is, Probe, figures
from bakery.records import Prompt
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store.results import PROBES
from bakery.variables import sides

if TYPE_CHECKING:
    from bakery.backends.endpoint import Endpoint
    from bakery.engine.text.chat import Chat

TOPS = (20, 5)
"""Log probabilities that are asked for: as many as probes hold, or what a server gives at most."""

KEY = "OPENAI_API_KEY"

PART = "\ufffd"
"""What is shown for a character of which a part is missing."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One probe: what bake, base and server say to it."""

    question: str
    bake: str
    base: str
    server: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What answers at a URL. `by`: "token ids", or "messages", which another template may spoil."""

    model: str
    url: str
    served: str
    by: str
    what: Is
    figures: Figures
    answers: tuple[Answer, ...]

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit verify --json` prints."""
        return {"schema": 1, "is_rounded": self.figures.is_rounded, **asdict(self)}


Way = Callable[[Asked], Heard]


def verify(
    repo: ModelRepo,
    url: str,
    name: str,
    *,
    served: str | None = None,
    key: str | None = None,
    reporter: Reporter,
) -> Verified:
    """Ask a server the probes of a bake; `served` is what the model is called there.

    `key` None: that of the environment. Raises StageError where the server cannot be asked, and
    ModelError where the bake has no probes.
    """
    meant, asked = _found(repo, name)
    endpoint = _endpoint(url, served or name, key)
    told, base_chat = _told(meant)
    probes = [
        Probe(
            one.question,
            _held(one, "baked", base_chat),
            _held(one, "base", base_chat),
        )
        for one in asked
    ]
    by, ways = "", _ways(endpoint, base_chat, told)
    heard: list[Heard] = []
    with closing(endpoint):
        for done, one in enumerate(asked):
            reporter.progress("verify", done, len(asked))
            by, answer = _heard(ways, one)
            heard.append(answer)
    reporter.progress("verify", len(asked), len(asked))
    found = figures(probes, heard)
    return Verified(
        meant.name,
        addresses.shown(url),
        endpoint.model,
        by,
        found.what,
        found,
        tuple(
            Answer(p.question, p.baked.text, p.base.text, h.text)
            for p, h in zip(probes, heard, strict=True)
        ),
    )


def check(repo: ModelRepo, name: str) -> None:
    """Refuse a model that has no probes, before a server is started for them."""
    _found(repo, name)


def _found(repo: ModelRepo, name: str) -> tuple[Meant, list[Asked]]:
    meant = meaning.find(repo, name)
    meaning.as_baked(meant, "bgit verify")
    return meant, _probes(meant)


def _probes(meant: Meant) -> list[Asked]:
    """Read the probes of a bake, or say why there are none."""
    if meant.folder is None:
        raise ConfigError(
            f"{meant.name} is a base, and a bake is what can be told from its base",
            hint="Name a bake: `bgit models` lists them.",
        )
    places = [folder / PROBES for folder in (meant.folder.parent, meant.folder)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise ModelError(
            f"{meant.name} has no {PROBES} beside its weights",
            hint="A bake of this version has; bake it again, or bring the file along with "
            "`bgit import`.",
        )
    return probed.read(path)


def _endpoint(url: str, model: str, key: str | None) -> Endpoint:
    from bakery.backends.endpoint import Endpoint, Provider

    address = url if "://" in url else f"http://{url}"
    if not addresses.is_address(address) or (url.startswith((".", "/")) and "://" not in url):
        raise ConfigError(
            f"{addresses.shown(url)} is not an address",
            hint="As in http://127.0.0.1:8000/v1: where a server of OpenAI's API answers.",
        )
    if urlsplit(address).path in ("", "/"):
        address = address.rstrip("/") + "/v1"
    server = Provider("the server", (), KEY, "the URL", "")
    return Endpoint(model, server, key or os.environ.get(KEY, "").strip() or "none", address)


def _told(meant: Meant) -> tuple[dict[str, Prompt], Chat]:
    """Return the prompt in front of each target's questions, and how the base reads and writes."""
    from bakery.engine.models import models

    found = meaning.targets(meant) or ()
    prompts = {str(entry["name"]): Prompt.from_data(entry["student"]) for entry in found}
    for entry in found:
        if sides(entry)[1] != prompts[str(entry["name"])]:
            raise ConfigError(
                f"what is sent before the questions of {entry['name']} has variables, and the "
                "probes do not say with which row each was asked",
                hint="Ask the server yourself, or compare with `bgit diff`.",
            )
    return prompts, models.load_chat(meant.base)


def _held(one: Asked, side: str, base: Chat) -> Heard:
    first: dict[str, float] = {}
    for token, value in one.top[side]:
        _put(first, base.decoded([token]), value)
    return Heard(base.text(one.greedy[side]), first, one.sure[side])


def _put(first: dict[str, float], text: str, value: float) -> None:
    """Note a token by its text without spaces: servers differ in whether they show them.

    One that is a part of a character is left out: each server names it in another way.
    """
    if PART not in text and not text.startswith("bytes:"):
        key = text.strip() or text
        first[key] = max(first.get(key, value), value)


def _ways(endpoint: Endpoint, base: Chat, prompts: Mapping[str, Prompt]) -> list[tuple[str, Way]]:
    """Return the ways in which a probe can be asked, the most exact first."""
    exact: list[tuple[str, Way]] = [
        ("token ids", partial(_by_ids, endpoint, base, top)) for top in TOPS
    ]
    return [*exact, ("messages", partial(_by_messages, endpoint, base, prompts))]


def _heard(ways: list[tuple[str, Way]], one: Asked) -> tuple[str, Heard]:
    """Ask by the first way that the server takes; those that it refuses are not tried again."""
    refused: RefusedError | None = None
    while ways:
        by, way = ways[0]
        try:
            return by, way(one)
        except RefusedError as error:
            refused = refused or error
            if len(ways) == 1:
                raise refused from None
            del ways[0]
    raise AssertionError("the last way answers, or raises")


def _by_ids(endpoint: Endpoint, base: Chat, top: int, one: Asked) -> Heard:
    said = endpoint.go_on(one.prefix, max_tokens=one.tokens, top=top)
    first: dict[str, float] = {}
    for text, value in said.first.items():
        _put(first, text, value)
    return Heard(_plain(base, said.text), first or None, said.each)


def _by_messages(
    endpoint: Endpoint, base: Chat, prompts: Mapping[str, Prompt], one: Asked
) -> Heard:
    before = prompts[one.target].messages if one.target in prompts else ()
    said = endpoint.complete(
        [*before, {"role": "user", "content": one.question}],
        max_tokens=one.tokens,
        temperature=0.0,
    )
    return Heard(_plain(base, said.text), None)


def _plain(base: Chat, text: str) -> str:
    """Return a text without the tokens that end a turn, which some servers show."""
    for token in base.end_ids:
        text = text.replace(base.decoded([token]), "")
    return text.strip()
