"""Where a model comes from: its chain of bakes, its settings and digests, and what it took."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bakery.app.report import Link, Report
from bakery.repo.look.diff import flat
from bakery.ui.report import prompts
from bakery.ui.report.figures import change, facts, pairs, share
from bakery.ui.report.markup import Markup, element
from bakery.ui.status import size
from bakery.ui.times import duration
from bakery.verdict import Verdict

KINDS = {"holds": "good", "holds in part": "part", "does not hold": "bad"}
"""How each word of a verdict is drawn."""


def pill(verdict: Verdict | None) -> Markup | None:
    """Return a verdict's word in its colour."""
    if verdict is None:
        return None
    return element("span", verdict.word, class_=f"chip {KINDS[verdict.word]}")


def lineage(found: Report) -> Markup:
    """Return the chain of bakes, oldest first, each with its card and its prompts."""
    lost = found.described.lost
    base = f"{lost} (which no branch has)" if lost else str(found.base.get("name"))
    return element(
        "ol",
        element("li", element("b", base), " ", element("span", "the base model", class_="quiet")),
        [_bake(link, is_last=link is found.link) for link in found.chain],
        class_="chain",
    )


def _bake(link: Link, *, is_last: bool) -> Markup:
    card = link.card
    told = []
    if card is not None and card.kl_after is not None:
        told.append(f"KL {change(card.kl_before, card.kl_after)}")
    if card is not None and card.gap_closed is not None and not card.has_few:
        told.append(f"gap closed {share(card.gap_closed)}")
    several = len(link.targets) > 1
    return element(
        "li",
        element("b", link.name),
        " ",
        pill(card.verdict if card else None),
        element("span", ", ".join(told), class_="quiet figures") if told else None,
        element("span", "this model", class_="quiet") if is_last else None,
        element("p", str(link.model), class_="id"),
        None
        if is_last
        else element(
            "details",
            element("summary", "What was baked in"),
            [prompts.target(one, (), heading=several, of="h4") for one in link.targets],
        ),
    )


def recipe(found: Report) -> Markup:
    """Return settings, versions, ids and digests: what it takes to make the model again."""
    record, bake = found.record, found.described.bake
    training = {"batch": record.get("batch"), **flat(record.get("training") or {})}
    ids = dict(_ids(found))
    return element(
        "div",
        element("pre", f"bgit reproduce {bake.name}", class_="said command"),
        _facts("Training", training),
        _facts("Numerics", flat(record.get("numerics") or {})),
        _facts("Made with", flat(record.get("versions") or {})),
        element("div", element("h3", "Ids and digests"), pairs(ids), class_="ids"),
    )


def _facts(title: str, rows: Mapping[str, Any]) -> list[Markup]:
    told = {key: _exact(value) for key, value in rows.items() if value not in (None, "")}
    return [element("h3", title), facts(told)] if told else []


def _exact(value: Any) -> Any:
    """Return a setting with all digits that it was given with."""
    if isinstance(value, list | tuple):
        return [_exact(one) for one in value]
    return f"{value:.12g}" if isinstance(value, float) else value


def _ids(found: Report) -> Iterator[tuple[str, str]]:
    """Yield what names the model and what it was made of."""
    bake, base = found.described.bake, found.base
    yield "model", str(bake.model)
    yield "adapter", f"sha256:{bake.digest_of(bake.model.step)}"
    yield "base model", " ".join(str(base[k]) for k in ("name", "revision") if base.get(k))
    if base.get("digest"):
        yield "base, digest", f"sha256:{base['digest']}"
    if bake.parent:
        yield "baked on", str(bake.parent)
    if found.described.commit:
        yield "commit", found.described.commit
    if on := (*found.described.branches, *found.described.tags):
        yield "branches, tags", ", ".join(on)
    if isinstance(found.record.get("tests"), str):
        yield "tests.yml, blob", found.record["tests"]
    for target in found.link.targets:
        for key in ("stimuli_digest", "trajectories_digest"):
            if target.get(key):
                what = "questions" if key.startswith("stimuli") else "answers"
                yield f"{target['name']}, {what}", f"sha256:{target[key]}"


def cost(found: Report) -> Markup:
    """Return what the bake took, and what each request is spared."""
    record, card = found.record, found.card
    rows: dict[str, Any] = {}
    if card is not None and not card.cut_prompt:
        rows["prompt tokens saved, a request"] = f"{card.prompt_tokens_saved:,.0f}"
        if card.prompt_tokens_left:
            rows["prompt tokens left, a request"] = f"{card.prompt_tokens_left:,.0f}"
    if found.adapter_bytes is not None:
        rows["adapter"] = size(found.adapter_bytes)
    counts = [(t.get("stimuli"), t.get("trajectories")) for t in found.link.targets]
    rows["questions"] = sum(asked for asked, _ in counts if isinstance(asked, int))
    rows["answers"] = sum(answered for _, answered in counts if isinstance(answered, int))
    rows["training steps"] = found.described.bake.model.step
    seconds = {
        stage: spent
        for stage, spent in (record.get("seconds") or {}).items()
        if isinstance(spent, int | float)
    }
    rows |= {f"time, {stage}": duration(spent) for stage, spent in seconds.items()}
    if len(seconds) > 1:
        rows["time, together"] = duration(sum(seconds.values()))
    rows |= {"begun": _when(record.get("started")), "done": _when(record.get("finished"))}
    return facts(rows)


def _when(time: Any) -> str | None:
    """Return a time as people read it, in UTC where it was recorded so."""
    return str(time).replace("T", " ").replace("+00:00", " UTC") if time else None
