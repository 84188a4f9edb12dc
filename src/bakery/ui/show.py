"""`bgit show MODEL`: one bake on one page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.text import Text

from bakery import kept
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.files.taken import source_of
from bakery.repo.look.diff import flat, prompt_text
from bakery.repo.look.show import Described
from bakery.schema.model_names import GGUF
from bakery.ui import verdict
from bakery.ui.chart import number
from bakery.ui.console import (
    MISSING_WEIGHTS,
    arrow,
    card_rows,
    lay,
    open_console,
    pairs,
    say_at_length,
    show_json,
    show_verdict,
)
from bakery.ui.joined import show_kept
from bakery.ui.progress import noted
from bakery.variables import shown


def show_record(found: Described, *, as_json: bool = False) -> None:
    """Print the whole record of a bake."""
    if as_json:
        show_json(found.as_data())
        return
    out = open_console()
    bake, data = found.bake, found.bake.data
    sign = f" {arrow(out)} "
    out.print(Text(str(bake.model), style="bold green"), soft_wrap=True)
    if bake.card and bake.card.verdict:
        show_verdict(out, bake.card)
        out.print()
    if (joined := data.get("joined")) and (told := verdict.of_joined(joined)) is not None:
        out.print(told, soft_wrap=not out.is_terminal)
        out.print()
    table = pairs()
    base = (data.get("base") or {}).get("name", "the base model")
    first = [f"{found.lost} (which no branch has)"] if found.lost else [str(base)]
    table.add_row("baked from", sign.join([*first, *(b.base_name for b in found.chain)]))
    if (by := data.get("teacher")) is not None:
        table.add_row("taught by", str(by.get("model") or by["base"]["name"]))
    for label, said in _elsewhere(bake):
        table.add_row(label, said)
    if len(bake.models) > 1:
        table.add_row("steps kept", ", ".join(str(model.step) for model in bake.models))
    table.add_row("commit", _commit(found))
    table.add_row("on", ", ".join([*found.branches, *(f"<{t}>" for t in found.tags)]) or "-")
    table.add_row("weights", str(found.folder) if found.has_weights else _MISSING)
    table.add_row("digest", f"sha256:{bake.digest_of(bake.model.step)}")
    for key in ("started", "finished"):
        if data.get(key):
            table.add_row(key, str(data[key]))
    lay(out, table)
    for target in data["targets"]:
        _show_target(target, found.made.sampling.get(str(target["id"]), {}))
    if joined:
        _show_joined(joined, bake)
    if compressed := data.get("compressed"):
        _show_compressed(compressed)
    training = flat(data.get("training") or {})
    # Its `steps` are those that the size of a batch was to leave.
    wanted = {"steps_aimed_at" if key == "steps" else key: v for key, v in training.items()}
    wanted |= {key: _kinds(wanted[key]) for key in ("target_modules",) if key in wanted}
    learnt: dict[str, Any] = {"steps": found.made.steps, "batch": found.made.batch}
    every = {**learnt, **wanted}
    _show_pairs("Training", {key: value for key, value in every.items() if value is not None})
    result: dict[str, str] = {}
    if bake.card:
        result |= card_rows(bake.card, data.get("seconds") or {}, arrow_sign=arrow(out))
    if loss := data.get("loss"):
        result["loss"] = ", ".join(f"{key} {number(loss[key])}" for key in ("first", "last", "min"))
    _show_pairs("Result", result)
    made_with = flat(data.get("versions") or {}) | flat(data.get("numerics") or {}, "numerics.")
    _show_pairs("Made with", made_with)
    for told in data.get("gate") or ():
        say_at_length(f"recorded, though it falls short of the gate's {told}")
    for told in data.get("notes") or ():
        say_at_length(noted(told))


MANY = 8
"""Layers that are named one by one."""


def _kinds(layers: Any) -> Any:
    """Return what a list of every single layer comes to: how many, and of which kinds."""
    if not isinstance(layers, list) or len(layers) <= MANY:
        return layers
    kinds = dict.fromkeys(str(name).rpartition(".")[2] for name in layers)
    return f"{len(layers)} layers: {', '.join(kinds)}"


_MISSING = f"not in this clone: {MISSING_WEIGHTS}"


def show_base(base: Any, *, as_json: bool = False) -> None:
    """Print what is recorded of the base model."""
    if as_json:
        show_json(base)
        return
    out = open_console()
    out.print(Text(base.name, style="bold green"), soft_wrap=True)
    table = pairs()
    table.add_row("", "the base model: it was not baked here")
    table.add_row("revision", base.revision or "-")
    table.add_row("digest", f"sha256:{base.digest}")
    if base.name.endswith(GGUF):
        table.add_row("weights", "in one GGUF file: they are unpacked when it is first loaded")
    lay(out, table)


def _commit(found: Described) -> str:
    if found.commit is None:
        return "not found in this clone's history"
    current = "the current model" if found.is_current else ""
    return "  ".join(word for word in (found.commit[:10], found.date, current) if word)


def _show_target(target: Mapping[str, Any], sampling: Mapping[str, Any]) -> None:
    out = open_console()
    out.print()
    weight = f"  weight {target['weight']:g}{_role(target)}"
    title = Text.assemble(("Target ", "bold"), target["name"], (weight, "dim"))
    out.print(title, soft_wrap=True)
    table = pairs()
    writers = ", ".join(f"{name} {count}" for name, count in target.get("writers", {}).items())
    table.add_row("questions", f"{target['stimuli']} ({writers})")
    table.add_row("answers", str(target["trajectories"]))
    for key, value in sampling.items():
        table.add_row(key, str(value))
    for kind in ("teacher", "student"):
        table.add_row(kind, prompt_text(target[kind]) or "(none: always on)")
    if target.get("variables"):
        table.add_row("first row", shown(target["variables"]))
    lay(out, table)


def _elsewhere(bake: RecordedBake) -> Iterator[tuple[str, str]]:
    """Yield which bake it took the place of, and where its weights were taken from."""
    if replayed := bake.data.get("replayed"):
        on = f", which was on {replayed['bases'][-1]}" if replayed.get("bases") else ""
        yield "in place of", f"{replayed['bake']}{on}"
    if (came := source_of(bake)) is not None:
        yield "taken from", f"{came.get('from')}@{came.get('commit')}"


def _show_compressed(told: Mapping[str, Any]) -> None:
    """Print what of a parent a bake was put on, and what that lost."""
    lost = {"lost": f"{100 * told['lost']:.2g} % of what it adds"} if "lost" in told else {}
    rows = {"ranks kept": f"{told['kept']} of {told['rank']}", **lost}
    kl = [f"{one['bake']} {one['kl']:.2g}" for one in told.get("bakes", ())]
    rows |= {"KL, nats per token": ", ".join(kl)} if kl else {}
    _show_pairs("Parent, compressed", rows)


def _show_joined(joined: Mapping[str, Any], bake: RecordedBake) -> None:
    """Print whose ranks a bake was put together from, and what is left of each target."""
    names = ", ".join(str(model) for model in bake.joined_from)
    _show_pairs("Put together", {"how": joined["how"], "from": names})
    show_kept(kept.recorded(joined), "target", by=joined.get("by", "merge"))


def _role(target: Mapping[str, Any]) -> str:
    """Return what a target was there for, where that is not to be learnt."""
    said = {"replay": ", replayed", "retention": ", holds the parent"}
    return said.get(str(target.get("role")), "")


def _show_pairs(title: str, rows: Mapping[str, Any]) -> None:
    if not rows:
        return
    out = open_console()
    out.print()
    out.print(Text(title, style="bold"))
    table = pairs()
    for key, value in rows.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        table.add_row(key, shown)
    lay(out, table)
