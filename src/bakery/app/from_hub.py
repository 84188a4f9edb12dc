"""`bgit adopt hf://…`: an adapter of the Hub becomes the model that the next bake starts from.

One that bgit published comes with its name, its id and its recipe; any other LoRA of the same base
is written anew as a composed adapter. Nothing of it is run, and all is checked before anything is
recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

from bakery import json_file
from bakery.app import adopt as adopting
from bakery.app import hub_card, import_
from bakery.app.adopt import Adopted
from bakery.app.hub_card import MADE
from bakery.errors import BakeryError, ConfigError, ModelError, RepoError
from bakery.harmless import STEERING
from bakery.identity import BaseModelId, file_digest, short_id
from bakery.json_file import MB, DamagedError
from bakery.records import ModelRef
from bakery.remotes import addresses
from bakery.remotes.hub import HubModel, Seen
from bakery.repo.commits import checks, join
from bakery.repo.files import hosted, recipe, taken
from bakery.repo.files.names import RECIPE
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store import drafts
from bakery.store.results import METRICS, PROBES, WEIGHTS

CONFIG = "adapter_config.json"
SLICES = "slices.json"

STEP = 1
"""Of a model that no training of ours made."""

_LARGEST: Mapping[str, int] = {
    MADE: MB, CONFIG: MB, SLICES: MB, RECIPE: 64 * MB, METRICS: 64 * MB, PROBES: 64 * MB,
}  # fmt: skip
"""The files that are read beside the weights, and how many bytes of each at most."""

_DECIDE = ("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern")
"""What of PEFT's configuration decides what a LoRA computes, beside its weights."""

_LONGEST_NAME = 400

_PICKLES = (".bin", ".pt", ".pth", ".pkl", ".ckpt")


@dataclass(frozen=True, slots=True)
class There:
    """What lies in a repository of the Hub, as far as it is read."""

    hub: HubModel
    seen: Seen
    folder: Path
    made: Mapping[str, Any] | None
    """What `bgit publish` says of it; None: it was not published by bgit."""
    config: Mapping[str, Any]
    """PEFT's configuration."""

    @property
    def address(self) -> str:
        """What is recorded: the address at one commit."""
        return self.hub.place.at(self.seen.commit)

    @property
    def source(self) -> dict[str, str]:
        """What a recipe says of where it came from."""
        return {"from": self.hub.place.url, "commit": self.seen.commit}


def repository(address: str) -> ModelRepo:
    """Return the repository that one stands in; where there is none, say how to make it."""
    try:
        return ModelRepo.find()
    except RepoError as error:
        hint = "Make one with `bgit init NAME --base-model BASE`, on the base of the adapter."
        with suppress(BakeryError):
            base = quote(_base_there(address))
            hint = f"`bgit init NAME --base-model {base}` makes one for it; then " \
                   "run the same command in there."  # fmt: skip
        raise RepoError(error.message, hint=hint) from error


def adopt(repo: ModelRepo, address: str, *, reporter: Reporter) -> Adopted:
    """Make an adapter of the Hub the current model, in one commit, once all of it is checked."""
    place = addresses.on_hub(address)
    _check_adoptable(repo)
    hub = HubModel(place)
    with reporter.doing(f"looking at {place.url}"):
        seen = _there(hub)
    with drafts.draft(repo.store.root, "from-hub") as folder:
        there = _read(hub, seen, folder / "there")
        _check_base(there, repo.state().base)
        held = seen.files[WEIGHTS]
        with reporter.doing(f"fetching {WEIGHTS}, {json_file.said_size(held.size)}"):
            hub.fetch(WEIGHTS, held, seen.commit, there.folder)
        _check_fits(there, repo.state().base)
        chain, weights = _recorded(repo, there, folder / "composed")
        knowing = ModelRepo(repo.git)
        knowing.brought = tuple(chain)
        _check_same(repo, there, chain)
        brought = import_.take(knowing, weights, [], reporter).taken
        if brought and _is_current(repo, chain[-1]):
            return adopting.unchanged(repo, there.address)
        made = knowing.adopt(chain[-1], source=there.address, reporter=reporter)
        return adopting.told(knowing, made, there.address)


def _check_adoptable(repo: ModelRepo) -> None:
    """Refuse to adopt where that could not be committed, or another tool wrote the files."""
    checks.can_commit(repo.git)
    checks.own_files_are_clean(repo.git)
    if (now := repo.state()).is_former:
        raise hosted.not_begun(now.name)


def _is_current(repo: ModelRepo, bake: RecordedBake) -> bool:
    """Tell whether a bake is the model of this branch, recorded here."""
    return repo.state().parent == bake.model and any(own.id == bake.id for own in repo.bakes())


def _there(hub: HubModel) -> Seen:
    """Return what lies at an address; refuse what holds no adapter that can be read."""
    seen = hub.seen()
    if seen is None:
        raise RepoError(
            f"{hub.place.url} is not there, or not for you",
            hint="Check the address. A private one needs `hf auth login`, or a token in HF_TOKEN.",
        )
    names = set(seen.files)
    if {WEIGHTS, CONFIG} <= names:
        return seen
    if WEIGHTS in names:
        raise ModelError(f"{hub.place.url} has {WEIGHTS}, but no {CONFIG} beside it",
                         hint="Without it nobody knows what the weights mean.")  # fmt: skip
    first = sorted(names - {".gitattributes", "README.md"})
    pickle = [name for name in first if name.startswith("adapter_model") and _is_pickle(name)]
    whole = [name for name in first if name.endswith((".safetensors", ".gguf"))]
    again = "its owner can publish the adapter: `bgit publish MODEL hf://owner/name`"
    if pickle:
        why, hint = f"its adapter is {pickle[0]}, a pickle: to read it may run code", (
            "Only safetensors are read. Its owner can save it as such: "
            "`model.save_pretrained(folder, safe_serialization=True)`."
        )  # fmt: skip
    elif any(name.endswith(".gguf") for name in whole):
        why, hint = f"it holds GGUF files ({whole[0]}), and no adapter in safetensors", (
            f"As a base: download it, then `bgit init NAME --base-model FILE.gguf`; or {again}."
        )  # fmt: skip
    elif whole:
        why, hint = f"it holds a whole model ({whole[0]}), and no adapter", (
            f"As a base: `bgit init NAME --base-model {hub.place.repo}`; or {again}."
        )  # fmt: skip
    else:
        why = f"it holds no adapter ({', '.join(first[:3]) or 'nothing'})"
        hint = f"An adapter is {WEIGHTS} and {CONFIG}, as PEFT and `bgit publish` write them."
    raise ModelError(f"{hub.place.url} cannot be adopted: {why}", hint=hint)


def _is_pickle(name: str) -> bool:
    return name.endswith(_PICKLES)


def _read(hub: HubModel, seen: Seen, folder: Path) -> There:
    """Fetch what stands beside the weights, and read it."""
    folder.mkdir(parents=True)
    for name, most in _LARGEST.items():
        held = seen.files.get(name)
        if held is None:
            continue
        if held.size > most:
            raise ModelError(
                f"{name} of {hub.place.url} has {json_file.said_size(held.size)}: that is too much",
                hint=f"It has {json_file.said_size(most)} at most. Nothing was taken.",
            )
        hub.fetch(name, held, seen.commit, folder)
    try:
        made = hub_card.made((folder / MADE).read_bytes()) if (folder / MADE).is_file() else None
        config = json_file.load_object(folder / CONFIG, most=MB)
        if made is not None:
            _check_made(made)
    except (DamagedError, ValueError, KeyError, TypeError, OSError) as error:
        raise ModelError(
            f"what stands beside the weights in {hub.place.url} cannot be read: {error}",
            hint=f"{MADE} and {CONFIG} are JSON. Nothing was taken.",
        ) from error
    return There(hub, seen, folder, made, config)


def _check_made(made: Mapping[str, Any]) -> None:
    """Refuse what `bgit publish` does not write; ValueError says what."""
    base = json_file.as_object(made["base"])
    texts = (made["model"], made["form"], made["digest"], base["name"], base["digest"])
    if not all(isinstance(text, str) for text in texts):
        raise ValueError(f"{MADE} names no model")
    with suppress(ConfigError):
        model = ModelRef.parse(made["model"])
        if STEERING.search(str(model)) is None and len(str(model)) <= _LONGEST_NAME:
            return
    raise ValueError(f"{MADE} names {made['model'][:60]!r}, which is no model")


def _check_base(there: There, base: BaseModelId) -> None:
    """Refuse an adapter of another base: by what it contains, else by its name."""
    if there.made is not None:
        named, digest = there.made["base"]["name"], there.made["base"]["digest"]
        if digest == base.digest:
            return
        its = f"{named} ({digest[:16]})"
    else:
        named = str(there.config.get("base_model_name_or_path") or "")
        if not named or _same_name(named, base.name):
            return
        its = named
    raise ModelError(
        f"{there.hub.place.url} lies on {its[:200]}, and this branch on {base.name} "
        f"({base.digest[:16]})",
        hint="An adapter fits one base only. `bgit init NAME --base-model "
        f"{quote(named[:200])}` makes a repository for it.",
    )


def _same_name(one: str, other: str) -> bool:
    """Tell whether two names may be of one base: in a folder it may have the last part alone."""
    ends = [name.rstrip("/").rpartition("/")[2].lower() for name in (one, other)]
    local = any(name.startswith(("/", ".", "~")) for name in (one, other))
    return one == other or (local and ends[0] == ends[1])


def _check_fits(there: There, base: BaseModelId) -> None:
    """Refuse weights that are damaged, or have layers that the base has not."""
    from bakery.engine.bases import bases
    from bakery.engine.models import adapter_check, adapter_head

    try:
        adapter_check.check_any(there.folder)
    except ModelError as error:
        raise ModelError(
            f"the adapter of {there.hub.place.url} cannot be loaded: "
            f"{error.message.partition(': ')[2] or error.message}",
            hint="It is damaged, or does more than a LoRA. Nothing was taken.",
        ) from error
    try:
        with suppress(ModelError):  # the base is not here: it is compared when it is loaded
            place = bases.locate(base.name, base.revision)[0]
            adapter_check.check_fits(adapter_head.shapes(there.folder / WEIGHTS), place)
    except DamagedError as error:
        raise ModelError(
            f"{there.hub.place.url} is no adapter of {base.name}: {error}",
            hint="An adapter fits one base only. Nothing was taken.",
        ) from error


def _recorded(repo: ModelRepo, there: There, composed: Path) -> tuple[list[RecordedBake], Path]:
    """Return the bakes that are recorded of it, oldest first, and the folder of its weights."""
    digest, made = file_digest(there.folder / WEIGHTS), there.made
    if made is None or made.get("is_whole") is False:
        return [_composed(repo, there, digest, composed)], composed
    if digest != made["digest"]:
        raise ModelError(
            f"the weights of {there.hub.place.url} are not those that {MADE} names: sha256 "
            f"{digest[:16]} in place of {made['digest'][:16]}",
            hint="They were changed after `bgit publish`, or damaged. Nothing was taken.",
        )
    if (there.folder / RECIPE).is_file():
        return _of_recipe(there, made), there.folder
    return [_of_published(repo, there, made)], there.folder


def _of_recipe(there: There, made: Mapping[str, Any]) -> list[RecordedBake]:
    """Return the chain that the published recipe records, with where it came from."""
    try:
        text = (there.folder / RECIPE).read_text(encoding="utf-8")
        known = {bake.id: bake for bake in recipe.parse(text)}
        model = ModelRef.parse(made["model"])
        chain = [known[model.bake_id]]
        while (parent := chain[0].parent) is not None:
            if len(chain) > len(known):
                raise ValueError("its bakes lie on each other in a circle")
            chain.insert(0, known[parent.bake_id])
        own = [taken.with_source(bake, there.source) for bake in chain]
        for bake in own:
            _check_block(bake)
        if own[-1].digest_of(model.step) != made["digest"] or model not in own[-1].models:
            raise ValueError(f"it records {model} with another digest than {MADE}")
        kept = tuple(one for one in own[-1].models if one == model)
        return [*own[:-1], replace(own[-1], models=kept)]
    except (BakeryError, ValueError, LookupError) as error:
        raise ModelError(
            f"the recipe in {there.hub.place.url} is not that of its weights: {error}",
            hint="It was changed after `bgit publish`, or damaged. Nothing was taken.",
        ) from error


def _check_block(bake: RecordedBake) -> None:
    """Refuse a block that a recipe could not hold: it is a part of ours from then on."""
    _ = bake.data  # read whole
    if any(line.strip() and not line.startswith("    ") for line in bake.block.splitlines()):
        raise ValueError(f"the block of {bake.name} does not stand in its place")
    if any(STEERING.search(str(model)) for model in (bake.model, bake.parent)):
        raise ValueError("it names a model with signs that steer a terminal")


def _of_published(repo: ModelRepo, there: There, made: Mapping[str, Any]) -> RecordedBake:
    """Return what is recorded of a model that was published without its prompt."""
    from bakery.engine.models import adapter_head

    model = ModelRef.parse(made["model"])
    if (known := repo.lineage().bakes.get(model.bake_id)) is not None:
        return known
    rank = adapter_head.read(there.folder / WEIGHTS).rank
    return _block(repo, there, model, made["digest"], rank)


def _composed(repo: ModelRepo, there: There, digest: str, out: Path) -> RecordedBake:
    """Write another tool's adapter anew as one of ours, and return what is recorded of it."""
    from bakery.engine.models import adapter_folder, foreign

    base, place = repo.state().base, there.hub.place
    does = {key: there.config[key] for key in _DECIDE if there.config.get(key)}
    bake_id = short_id({"adopted": digest, "does": does, "base": base.as_data()})
    rank = foreign.compose(
        there.folder, out, bake_id=bake_id, base=base.name, revision=base.revision
    )
    model = ModelRef(place.owner, place.name, f"{place.name}_{bake_id}", STEP)
    return _block(repo, there, model, adapter_folder.digest(out), rank, weights=digest)


def _block(
    repo: ModelRepo, there: There, model: ModelRef, digest: str, rank: int, **more: str
) -> RecordedBake:
    """Return the record of a model that nobody here knows more of than its weights."""
    result: dict[str, Any] = {
        "base": asdict(repo.state().base),
        "parent": None,
        "digest": digest,
        "training": {"r": rank},
        "targets": [],
        "adopted": {**there.source, **more},
        "notes": [],
    }
    return recipe.read(model.bake_id, join.block(repo.git, result, model))


def _check_same(repo: ModelRepo, there: There, chain: Sequence[RecordedBake]) -> None:
    """Refuse a model that is recorded here with other weights."""
    known = repo.lineage().bakes
    for bake in chain:
        here = known.get(bake.id)
        if here is not None and here.digest != bake.digest:
            raise ModelError(
                f"{bake.name} is recorded here with other weights (sha256 {here.digest[:16]}) than "
                f"in {there.hub.place.url} ({bake.digest[:16]})",
                hint="One of the two was changed, or made on another machine. Nothing was taken.",
            )


def _base_there(address: str) -> str:
    """Return the name of the base that an adapter of the Hub lies on."""
    hub = HubModel(addresses.on_hub(address))
    seen = _there(hub)
    for name in (MADE, CONFIG):
        if (held := seen.files.get(name)) is None or held.size > MB:
            continue
        data = hub.read(name, held, seen.commit)
        with suppress(ValueError, LookupError, TypeError):
            found = json_file.as_object(json_file.parse(data.decode("utf-8")))
            base = found["base"]["name"] if name == MADE else found["base_model_name_or_path"]
            if isinstance(base, str) and base:
                return base[:200]
    raise ConfigError(f"{address} does not name its base")
