"""`bgit publish`: a baked model as a repository of the Hub, in one commit.

What goes there is made and looked at first; nothing is sent before somebody has seen what it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bakery.app import download, hub_card, terms
from bakery.app.export_place import README, is_export_name
from bakery.app.hub_card import MADE, Told
from bakery.app.model_card import Exported, Part
from bakery.app.terms import Terms
from bakery.errors import BakeryError, ConfigError, RepoError
from bakery.evals import kept
from bakery.identity import BaseModelId
from bakery.json_file import said_size
from bakery.remotes import addresses
from bakery.remotes.addresses import OnHub
from bakery.remotes.hub import Held, HubModel, Seen
from bakery.repo.files import recipe
from bakery.repo.files.names import RECIPE
from bakery.repo.look import show
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import drafts

_MOST = 64 << 20
"""Bytes of a file of ours that is read from there."""

_HUBS = ".gitattributes"
"""What the Hub writes into a new repository by itself."""


_AS_IT_IS = download.Wanted()


@dataclass(frozen=True, slots=True)
class Wanted:
    """How a model is to be published."""

    form: download.Wanted = _AS_IT_IS
    public: bool = False
    without: frozenset[Part] = frozenset()
    licence: str | None = None
    """What the card names; None: what the base says of itself."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class Sending:
    """A file of what is published. `is_there`: the repository has these very bytes."""

    name: str
    size: int
    is_there: bool


@dataclass(frozen=True, slots=True)
class Publication:
    """What would be published, ready to be sent."""

    place: OnHub
    exported: Exported
    folder: Path
    files: tuple[Sending, ...]
    gone: tuple[str, ...]
    """What of a former model goes, in the same commit."""
    card: str
    """The README, as the Hub shows it."""
    told: Told
    terms: Terms
    public: bool
    seen: Seen | None
    """What lies there now; None: nothing, or nobody could ask."""
    replaces: str | None
    """What else lies there: another model, or files of somebody."""
    warnings: tuple[str, ...]

    @property
    def size(self) -> int:
        """How many bytes would be sent."""
        return sum(one.size for one in self.files if not one.is_there)

    @property
    def opens(self) -> bool:
        """Whether a private repository becomes public."""
        return self.public and self.seen is not None and self.seen.is_private

    @property
    def is_done(self) -> bool:
        """Whether all of it lies there already."""
        return self.seen is not None and not (self.size or self.gone or self.opens) and all(
            one.is_there for one in self.files
        )  # fmt: skip

    def as_data(self) -> dict[str, Any]:
        """Return what it is, as data."""
        return {
            "model": self.exported.weights.called,
            "address": self.place.url,
            "revision": self.place.revision or None,
            "public": self.public,
            "files": [
                {"name": one.name, "size": one.size, "is_there": one.is_there} for one in self.files
            ],
            "gone": list(self.gone),
            "size": self.size,
            "replaces": self.replaces,
            "licence": self.terms.as_data(),
            "prompts": [{"of": name, "text": said} for name, said in self.told.prompts],
            "examples": self.told.examples,
            "evaluations": self.told.evaluations,
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True, slots=True)
class Published:
    """What became of it. `commit` None: nothing was to be sent, as in a dry run."""

    what: Publication
    commit: str | None
    sent: int
    """Bytes."""
    is_new: bool
    """Whether anything there is otherwise than before."""

    def as_data(self) -> dict[str, Any]:
        """Return what `bgit publish --json` prints."""
        own = {"commit": self.commit, "sent": self.sent, "is_new": self.is_new}
        return {**self.what.as_data(), **own}


@contextmanager
def prepared(
    repo: ModelRepo,
    model: str,
    address: str,
    wanted: Wanted,
    *,
    step: int | None = None,
    reporter: Reporter,
) -> Iterator[Publication]:
    """Make what would be published, and give it until the block ends; nothing is sent.

    Refused is what may not go out: a public repository where a private one is meant, a licence
    that forbids it, what looks like a key.
    """
    place = addresses.on_hub(address)
    hub = HubModel(place)
    bake = repo.find_bake(model)
    seen, warnings = _seen(hub, wanted)
    with drafts.draft(repo.store.root, "publish") as folder:
        out = folder / place.name
        form = replace(wanted.form, out=out, force=False)
        exported = download.download(repo, model, form, step=step, reporter=reporter)
        asked = terms.of(wanted.licence or licence_of(exported.weights.base))
        weights = replace(exported.weights, licence=asked.licence)
        exported = replace(exported, weights=weights)
        if wanted.public:
            _check_licence(asked, weights.base)
        assert weights.model is not None  # the base is refused above
        chain, _ = show.ancestry(repo.lineage(), replace(bake, models=(weights.model,)))
        reports = kept.of_step(repo.store.bake(bake.id), weights.model.step)
        told = hub_card.fill(
            out, weights, chain, place=place, without=wanted.without,
            reports=reports,
        )  # fmt: skip
        sizes = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
        found = Publication(
            place, exported, out,
            files=tuple(Sending(name, size, is_there=False) for name, size in sizes.items()),
            gone=(), card=(out / README).read_text(encoding="utf-8"), told=told, terms=asked,
            public=wanted.public, seen=None, replaces=None, warnings=tuple(warnings),
        )  # fmt: skip
        yield _against(hub, found, seen)


def send(found: Publication, reporter: Reporter) -> Published:
    """Send what was prepared, in one commit; where all of it lies there, send nothing."""
    if found.is_done and found.seen is not None:
        return Published(found, found.seen.commit, 0, is_new=False)
    hub, private = HubModel(found.place), not found.public
    if found.seen is None:
        hub.create(private=private)
        now = HubModel(replace(found.place, revision="")).seen()
        if now is None or now.is_private != private:
            raise RepoError(
                f"{found.place.url} was made, but it is "
                f"{'not there' if now is None else 'private' if now.is_private else 'public'}",
                hint="Look at its settings on its page. Nothing was sent.",
            )
        found = _compared(found, now)
    if found.place.revision:
        hub.branch(found.place.revision)
    commit = _commit(hub, found, reporter)
    if found.opens:
        hub.open_to_all()
    return Published(found, commit, found.size, is_new=True)


def publish(
    repo: ModelRepo,
    model: str,
    address: str,
    wanted: Wanted,
    *,
    step: int | None = None,
    replace: bool = False,
    reporter: Reporter,
) -> Published:
    """Prepare and send a model; what lies there stays, unless it is to be replaced."""
    with prepared(repo, model, address, wanted, step=step, reporter=reporter) as found:
        if wanted.dry_run:
            return Published(found, None, 0, is_new=False)
        if found.replaces and not replace:
            raise RepoError(
                f"{found.place.url} holds {found.replaces}",
                hint="`replace=True` puts this model in its place; its history keeps the former.",
            )
        return send(found, reporter)


def _seen(hub: HubModel, wanted: Wanted) -> tuple[Seen | None, list[str]]:
    """Return what lies there, and what to warn of; refuse what is public against one's wish."""
    try:
        seen = hub.seen(new_branch=True)
    except BakeryError as error:
        if not wanted.dry_run:
            raise
        return None, [f"what lies there is not known: {error.message}"]
    if seen is not None and not seen.is_private and not wanted.public:
        raise RepoError(
            f"{hub.place.url} is public, and this would be private",
            hint="--public publishes it there for everybody to see; or name another repository.",
        )
    return seen, []


def licence_of(base: BaseModelId) -> str | None:
    """Return the licence of a base: as its files name it, or as its page on the Hub does."""
    from bakery.engine.bases import bases, licence

    if (found := licence.said(base)) is not None:
        return found
    if bases.is_here(base.name) or base.name.count("/") != 1:
        return None
    try:
        place = replace(addresses.on_hub(f"{addresses.HUB}{base.name}"), revision=base.revision)
        return HubModel(place).licence()
    except BakeryError:  # a name of no use, or no library: it is not known then
        return None


def _check_licence(asked: Terms, base: BaseModelId) -> None:
    """Refuse to make public what nobody knows to be allowed, or what is forbidden."""
    if asked.kind == "closed":
        raise ConfigError(
            f"it cannot be public: {asked.sentence(base.name)}",
            hint="Without --public it is private; who owns the base may allow more.",
        )
    if asked.licence is None:
        raise ConfigError(
            f"it cannot be public: {asked.sentence(base.name)}",
            hint="--licence NAME says which it is, once you have read it (as the Hub calls it: "
            "apache-2.0, mit, gemma, …). Without --public it is private.",
        )


def _warnings(hub: HubModel, base: BaseModelId, asked: Terms, opens: bool) -> Iterator[str]:
    """Yield what whoever agrees has to know, beside what is shown."""
    if asked.kind != "free":
        yield asked.sentence(base.name)
    if base.name.startswith("/"):
        yield (
            f"its base is a place on this machine, {base.name}: nobody else has it by that name, "
            "and the card and its files tell it"
        )
    if opens:
        yield f"{hub.place.url} is private: all of its history becomes public, too"


def _against(hub: HubModel, found: Publication, seen: Seen | None) -> Publication:
    """Return it, compared with what lies there."""
    base, asked = found.exported.weights.base, found.terms
    opens = found.public and seen is not None and seen.is_private
    warnings = (*found.warnings, *_warnings(hub, base, asked, opens))
    found = replace(found, warnings=warnings)
    if seen is None:
        return found
    return replace(_compared(found, seen), replaces=_other(hub, found, seen))


def _compared(found: Publication, seen: Seen) -> Publication:
    """Return it with what of it lies there, and what of a former model goes."""
    files = tuple(
        replace(one, is_there=_is_there(found.folder / one.name, seen.files.get(one.name)))
        for one in found.files
    )
    own = {one.name for one in found.files}
    gone = tuple(name for name in sorted(seen.files) if name not in own and is_export_name(name))
    return replace(found, files=files, gone=gone, seen=seen)


def _is_there(path: Path, held: Held | None) -> bool:
    return held is not None and held.is_same(path)


def _other(hub: HubModel, found: Publication, seen: Seen) -> str | None:
    """Return what else lies there, in words; None: nothing, or the same model."""
    foreign = [name for name in seen.files if name not in (_HUBS, MADE)]
    if not foreign:
        return None
    there = _model_there(hub, seen)
    if there == found.exported.weights.called:
        return None
    if there is not None:
        return f"another model, {there}"
    return f"{len(foreign)} files that bgit did not put there ({', '.join(sorted(foreign)[:3])}, …)"


def _model_there(hub: HubModel, seen: Seen) -> str | None:
    """Return the model that was published there; None: none by bgit."""
    for name in (MADE, RECIPE):
        held = seen.files.get(name)
        if held is None or held.size > _MOST:
            continue
        data = hub.read(name, held, seen.commit)
        try:
            if name == MADE:
                return str(hub_card.made(data)["model"])
            return str(recipe.parse(data.decode("utf-8"))[-1].model)
        except (ValueError, LookupError, BakeryError):  # of another kind: it names no model
            continue
    return None


def _commit(hub: HubModel, found: Publication, reporter: Reporter) -> str:
    """Send files, and return the commit: that which is there, where there are none to send."""
    assert found.seen is not None
    new = {one.name: found.folder / one.name for one in found.files if not one.is_there}
    if not new and not found.gone:
        return found.seen.commit
    label, sizes = f"sending to {found.place.url}", {one.name: one.size for one in found.files}

    def sent(done: int, total: int, name: str) -> None:
        reporter.progress(label, done, total, f"{name}, {said_size(sizes[name])}" if name else "")

    weights = found.exported.weights
    message = f"{weights.given_name}: {weights.called}"
    return hub.commit(new, found.gone, message, onto=found.seen.commit or None, sent=sent)
