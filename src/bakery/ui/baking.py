"""What the `bakery` command says before and after it trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.text import Text

from bakery.card import Card
from bakery.ui import verdict
from bakery.ui.chart import number
from bakery.ui.console import arrow, lay, open_console, pairs, say, show_verdict
from bakery.ui.times import duration

_SCORES = (
    ("eval", ("baseline_none", "baseline_discrete", "baked_eval")),
    ("held out", ("heldout_none", "heldout_discrete", "baked_heldout")),
)
_WHO = ("without", "prompted", "baked")


def show_start(model: str, material: Any) -> None:
    """Say what is about to be baked."""
    out = open_console()
    table = pairs()
    table.add_row("model", Text(model, style="bold"))
    answered = sum(not row.needs_sampling for row in material.rows)
    rows = f"{len(material.rows)} to learn from"
    if answered < len(material.rows):
        rows += f", {len(material.rows) - answered} of them for the teacher to answer"
    table.add_row("rows", rows)
    if material.eval_rows is not None:
        table.add_row("", f"{len(material.eval_rows)} to measure on")
    for name, questions in material.questions.items():
        table.add_row(f"{name}_file", f"{len(questions)} questions with keywords")
    lay(out, table)


def show_result(result: Mapping[str, Any], output_dir: str) -> None:
    """Say what came of it, and how to use it."""
    out = open_console()
    sign = arrow(out)
    table = pairs()
    loss, card = result["loss"], Card.from_data(result["card"])
    if card.verdict is not None:
        say("")
        show_verdict(out, card)
        if told := verdict.alike(card.verdict.figures):
            table.add_row("answered as prompted", told)
    left = result["prompt_tokens_left"]
    table.add_row("prompt", f"{result['prompt_tokens']} tokens {sign} {left} at inference")
    table.add_row("loss", f"{number(loss['first'])} {sign} {number(loss['last'])}")
    table.add_row(
        "KL to the prompted teacher",
        f"{number(card.kl_before)} {sign} {number(card.kl_after)} nats per token",
    )
    if card.gap_closed is not None:
        table.add_row("gap closed", f"{100 * card.gap_closed:.1f} %")
    if card.top1_agreement is not None:
        table.add_row("same first choice", f"{100 * card.top1_agreement:.1f} % of tokens")
    for label, text in zip(("measured on", ""), _measured(result, card), strict=False):
        table.add_row(label, text)
    for label, names in _SCORES:
        found = [
            f"{who} {100 * result[name]['accuracy']:.0f} %"
            for who, name in zip(_WHO, names, strict=True)
            if name in result
        ]
        if found:
            total = result[names[0]]["total"]
            table.add_row(f"keywords, {label}", f"{f' {sign} '.join(found)}  (n = {total})")
    table.add_row("time", f"{duration(result['seconds'])}, {result['steps']} steps")
    folder = Path(output_dir) / "final_model"
    table.add_row("adapter", Text(str(folder), style="bold green"))
    say("")
    lay(out, table)
    say("\nTo load it:")
    say(f'  model = AutoModelForCausalLM.from_pretrained("{result["loads_from"]}")')
    say(f'  model = PeftModel.from_pretrained(model, "{folder}")')


def _measured(result: Mapping[str, Any], card: Card) -> list[str]:
    """Return what was measured on, and what that leaves out: a line each, for narrow terminals."""
    on = result["measured_on"]
    kind = "held-out" if on["held_out"] else "training"
    text = f"{on['rows']} {kind} row{'s' if on['rows'] != 1 else ''}, {card.tokens} tokens"
    if not on["held_out"]:
        return [text, "nothing is held out: give eval_dataset"]
    return [text, "too few for percentages"] if card.top1_agreement is None else [text]
