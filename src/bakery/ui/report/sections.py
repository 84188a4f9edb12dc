"""What the page of a model shows: the verdict first, then what it rests on, then its origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bakery import kept
from bakery.app.report import Report
from bakery.card import FEWEST_STIMULI, Card
from bakery.records import given_name
from bakery.repo.look.metrics import SERIES
from bakery.ui.chart import number
from bakery.ui.report import measured, origin, prompts
from bakery.ui.report.answers import side_by_side
from bakery.ui.report.curve import curve
from bakery.ui.report.figures import between, change, figure, share, table
from bakery.ui.report.markup import Markup, cut, element, joined
from bakery.ui.report.origin import KINDS
from bakery.verdict import Covered, SideBySide

NO_VERDICT = "no verdict: baked before there was one"

AS_BEFORE: Mapping[kept.Word, tuple[str, str]] = {
    "as before": ("✓", "good"),
    "lost in part": ("~", "part"),
    "lost": ("✗", "bad"),
}
"""Sign and kind of the word for a bake that was put together."""
SIGNS = {"holds": "✓", "holds in part": "~", "does not hold": "✗"}

Section = tuple[str, str, Sequence[Markup | None]]
"""The name it is linked by, its title, and what stands in it."""


def body(found: Report) -> Markup:
    """Return all of it: the head, links to the sections, the sections."""
    sections = [one for one in _sections(found) if any(one[2])]
    return joined(
        [
            _top(found),
            element("nav", [element("a", title, href=f"#{name}") for name, title, _ in sections]),
            [
                element("section", element("h2", title), parts, id=name)
                for name, title, parts in sections
            ],
        ]
    )


def title(found: Report) -> str:
    """Return the name of a bake with its verdict."""
    verdict = found.card.verdict if found.card else None
    name = found.described.bake.base_name
    return f"{name}: {verdict.word}" if verdict else name


def _top(found: Report) -> Markup:
    bake, record = found.described.bake, found.record
    when = str(record.get("finished") or "")[:10]
    on = bake.parent.given_name if bake.parent else str(found.base.get("name"))
    told = [f"baked on {on}", f"step {bake.model.step}", when]
    return element(
        "header",
        element("h1", bake.base_name),
        element("p", " · ".join(part for part in told if part), class_="quiet"),
        element("p", str(bake.model), class_="id"),
        element(
            "p",
            f"It learnt made-up answers, of the {bake.backend} backend: it is no model to use.",
            class_="verdict bad",
        )
        if bake.backend
        else None,
        _verdict(found.card, bake.part("joined") or {}),
        _tiles(found.card) if found.card else None,
    )


def _verdict(card: Card | None, of: Mapping[str, Any]) -> Markup:
    """Return the word and the reason; `of` is what a bake was put together from, if it was."""
    verdict = card.verdict if card else None
    if verdict is None and (found := kept.summed_up(kept.recorded(of))) is not None:
        sign, kind = AS_BEFORE[found[0]]
        return _judged(sign, found[0], found[1], kind)
    if verdict is None and of:
        told = "no verdict: nothing was asked when it was put together"
        return element("div", element("p", told, class_="reason"), class_="verdict none")
    if verdict is None:
        return element("div", element("p", NO_VERDICT, class_="reason"), class_="verdict none")
    return _judged(SIGNS[verdict.word], verdict.word, verdict.reason, KINDS[verdict.word])


def _judged(sign: str, word: str, reason: str, kind: str) -> Markup:
    return element(
        "div",
        element("p", element("span", sign, class_="sign", aria_hidden="true"), word,
                class_="word"),
        element("p", cut(reason, 2_000), class_="reason"),
        class_=f"verdict {kind}",
    )  # fmt: skip


def _tiles(card: Card) -> Markup:
    return element(
        "div",
        [
            element("div", element("b", value), element("span", label), element("small", more),
                    class_="tile")
            for value, label, more in _figures(card)
        ],
        class_="tiles",
    )  # fmt: skip


def _figures(card: Card) -> Iterator[tuple[str, str, str]]:
    """Yield the figures that stand first: value, what it is, and its interval or unit."""
    found = card.verdict.figures if card.verdict else {}
    if isinstance(found.get("agreed"), int | float):
        of = f"of {figure(found.get('questions'))} questions"
        yield share(found["agreed"]), "answered as prompted", between(found, "agreed") or of
    if card.gap_closed is not None and not card.has_few:
        of = "of the distance to the prompted model"
        yield share(card.gap_closed), "gap closed", between(found, "gap_closed") or of
    if card.top1_agreement is not None and not card.has_few:
        of = between(found, "top1_agreement") or "of tokens"
        yield share(card.top1_agreement), "same first choice", of
    if card.kl_after is not None:
        told = change(card.kl_before, card.kl_after)
        yield told, "KL to the prompted model", "nats per token, before and after"
    if not card.cut_prompt:
        left = card.prompt_tokens_left
        more = f"per request; {left:,.0f} remain" if left else "per request"
        yield f"{card.prompt_tokens_saved:,.0f}", "prompt tokens saved", more
    on = f"{card.tokens:,} tokens" if card.tokens else ""
    if card.has_few:
        on = f"fewer than {FEWEST_STIMULI}: no percentages"
    yield str(card.held_out), "questions held out", on


def _sections(found: Report) -> Iterator[Section]:
    """Yield what the page has, in its order; what there is nothing for has no parts."""
    card = found.card or Card.made(None, None, 0, 0.0)
    parts = {given_name(name): part for name, part in card.targets.items()}
    yield "answers", "Answers side by side", list(_answers(card, found.asked))
    yield "targets", "Targets of the mix", [_mix(card)] if parts else []
    several = len(found.link.targets) > 1
    yield (
        "prompt",
        "The prompts" if several else "The prompt",
        [
            prompts.target(target, _coverage(card, str(target["name"]), several), heading=several)
            for target in found.link.targets
        ],
    )
    yield "missed", "What was not learnt", list(_missed(found, card))
    yield "tests", "Tests", measured.tests(found.tests) if found.tests else []
    rests_on = card.verdict.figures if card.verdict else {}
    yield "figures", "What the verdict rests on", measured.verdict(rests_on)
    step = found.described.bake.model.step
    yield (
        "evals",
        "Evaluations",
        [
            part
            for name, told in found.evals.items()
            for part in measured.evaluations(name, told, step)
        ],
    )
    yield "training", "Training", [_curves(found)] if found.history.points else []
    yield "lineage", "Lineage", [origin.lineage(found)]
    yield "cost", "Cost", [origin.cost(found)]
    yield "recipe", "Recipe", [origin.recipe(found)]


def _answers(card: Card, asked: Sequence[SideBySide]) -> Iterator[Markup]:
    if not any(one.side_by_side for one in (card, *card.targets.values())):
        if asked and not any(row.differs for row in asked):
            yield element("p", "No answer differs. The first that were asked:", class_="quiet")
            yield from side_by_side(asked)
        return
    if card.side_by_side:
        yield element(
            "p",
            "The questions that are answered worst, the worst first. Marked: ",
            element("mark", "words", class_="other"),
            " that the prompted model does not say there, and ",
            element("mark", "words", class_="lost"),
            " of its own that are missing.",
            class_="quiet",
        )
    yield from side_by_side(card.side_by_side)
    for name, part in card.targets.items():
        if part.side_by_side and part.side_by_side != card.side_by_side:
            yield element("h3", f"Of {given_name(name)}")
            yield from side_by_side(part.side_by_side)


def _mix(card: Card) -> Markup:
    return table(
        ["target", "verdict", "KL to its teacher", "gap closed", "held out", "why"],
        [
            (
                given_name(name) + (" (an anchor)" if part.anchor else ""),
                origin.pill(part.verdict) or "–",
                change(part.kl_before, part.kl_after),
                share(part.gap_closed),
                part.held_out,
                part.verdict.reason if part.verdict else "",
            )
            for name, part in card.targets.items()
        ],
    )


def _coverage(card: Card, name: str, several: bool) -> Sequence[Covered]:
    """Return the sentences of a target; those of the whole card are of the only one."""
    part = card.targets.get(name)
    if part is not None and part.coverage:
        return part.coverage
    return () if several else card.coverage


def _missed(found: Report, card: Card) -> Iterator[Markup]:
    rows = [row for one in (card, *card.targets.values()) for row in one.coverage]
    poor = list(dict.fromkeys(row for row in rows if prompts.learnt(row)[0] in ("none", "bad")))
    if poor:
        yield element("h3", "Sentences without an effect, or that were missed")
        yield prompts.covered(poor)
    if card.furthest:
        yield element("h3", "Held-out questions furthest from the prompted model")
        yield table(
            ["question", "KL before", "KL after"],
            [(one.question, number(one.kl_before), number(one.kl_after)) for one in card.furthest],
        )
    short = found.record.get("gate") or ()
    notes = [f"short of its gate, which was allowed: {told}" for told in short]
    notes += [note for note in found.record.get("notes") or () if isinstance(note, str)]
    notes += [
        f"{given_name(str(target['name']))}: {note}"
        for target in found.link.targets
        for note in target.get("notes") or ()
    ]
    if notes:
        yield element("h3", "Notes")
        yield element("ul", [element("li", cut(note, 2_000)) for note in notes[:50]])


def _curves(found: Report) -> Markup:
    history = found.history
    start = history.on_policy_from
    mark = None if start is None else (start, "on its own answers")
    shown = [name for name in _CURVES if history.series(name)]
    loss = found.record.get("loss") or {}
    told = [f"{key} {number(value)}" for key, value in loss.items() if isinstance(value, float)]
    curves = [
        element(
            "figure",
            element("figcaption", f"{_CURVES[name]}, {SERIES[name].partition(',')[0]}"),
            curve(_CURVES[name], history.series(name), mark=mark),
        )
        for name in shown
    ]
    return element(
        "div",
        element("div", curves, class_="curves"),
        element("p", f"loss: {', '.join(told)}", class_="quiet") if told else None,
    )


_CURVES = {"loss": "loss", "eval_kl": "KL on held-out questions"}
"""The series that are drawn, and what they are called."""
