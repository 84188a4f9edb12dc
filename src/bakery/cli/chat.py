"""`bgit chat`: a conversation on the terminal, or one answer per line of a pipe."""

from __future__ import annotations

import math
import sys

import click

from bakery.app import chat as speakers
from bakery.app import meaning
from bakery.cli import fetching, given
from bakery.cli.said import SAID
from bakery.conversation import MOST_TEMPERATURE, ChatSettings, Conversation
from bakery.errors import ConfigError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.strengths import MOST
from bakery.ui import chat as screen
from bakery.ui.progress import reporter
from bakery.ui.typed import history_file


def _finite(
    context: click.Context, parameter: click.Parameter, value: float | None
) -> float | None:
    """Refuse nan and inf, which every range lets pass."""
    if value is not None and not math.isfinite(value):
        raise click.BadParameter(f"{value} is not a finite number", context, parameter)
    return value


@click.command()
@click.argument("model", required=False)
@click.option(
    "-m",
    "--message",
    "messages",
    type=SAID,
    metavar="TEXT",
    multiple=True,
    help="Ask this and leave; given again, it is the next question.",
)
@click.option("--system", metavar="TEXT|@FILE", help="A system prompt to begin with.")
@click.option(
    "--compare",
    is_flag=True,
    help="Answer three times: the base, the parent with the prompt, the bake.",
)
@click.option(
    "--target", type=SAID, metavar="NAME", help="Whose prompt --compare takes, of several targets."
)
@click.option(
    "--strength",
    type=click.FloatRange(-MOST, MOST),
    callback=_finite,
    metavar="X",
    help="How much of the bake: 0 is its parent, 1 as baked, 0.5 half-baked.",
)
@click.option("--strength-all", is_flag=True, help="--strength applies to the earlier bakes, too.")
@click.option(
    "--temperature",
    type=click.FloatRange(0, MOST_TEMPERATURE),
    callback=_finite,
    default=0.0,
    metavar="X",
    help="0, the default, takes the likeliest token every time.",
)
@click.option(
    "--top-p",
    type=click.FloatRange(0, 1, min_open=True),
    callback=_finite,
    default=1.0,
    metavar="X",
    help="Draw only from the likeliest tokens that make up this share.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(1),
    metavar="N",
    help="How long an answer may get; by default 512, or what the context leaves.",
)
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", help="Draw the same answers every time."
)
@click.option(
    "--thinking/--no-thinking",
    default=None,
    help="Have the model think first, or not, where its template has that switch.",
)
@click.option("--each", is_flag=True, help="Every piped line is a conversation of its own.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for every question.")
@click.option(
    "--no-history", is_flag=True, help="Neither read nor write the history of typed lines."
)
@click.option(
    "--offline", is_flag=True, expose_value=False, callback=fetching.forbid,
    help="Fetch no weights that are missing here.",
)  # fmt: skip
@click.option(
    "--base-model",
    metavar="MODEL",
    help="The base of an adapter's folder, where its own cannot be found.",
)
def chat(
    model: str | None,
    messages: tuple[str, ...],
    system: str | None,
    compare: bool,
    target: str | None,
    strength: float | None,
    strength_all: bool,
    temperature: float,
    top_p: float,
    max_tokens: int | None,
    seed: int | None,
    thinking: bool | None,
    each: bool,
    as_json: bool,
    no_history: bool,
    base_model: str | None,
) -> None:
    """Talk to a model.

    MODEL is a full name, a bake's name, the first digits of its id, a tag, `base`, or `parent`:
    the current model, as without MODEL. It may also be the folder of an adapter, or the folder or
    .gguf file of a model. MODEL:0.5 has half of its bake, MODEL@prompted is its parent behind the
    prompt that was baked in.
    With piped input, every line gets its answer on one line; the lines are one conversation,
    unless --each says otherwise.
    """
    piped = not sys.stdin.isatty()
    if as_json and not (piped or messages):
        raise ConfigError("--json needs questions from a pipe, or --message")
    if target is not None and not compare:
        raise ConfigError("--target says whose prompt --compare takes: it needs --compare")
    told = given.system_prompt(system)
    # Without MODEL a repository has to say which one is current.
    repo = ModelRepo.find() if model is None else ModelRepo.here()
    meant = meaning.find(repo, "parent" if model is None else model, base=base_model)
    if compare:
        meaning.without_prompt(meant, "--compare")
        meaning.with_own_teacher(meant, "--compare")
    with reporter() as shown:
        taught = _taught(meant, target, shown) if compare else meaning.taught(meant)
        if taught is not None and taught.remark and (compare or meant.is_prompted):
            shown.note(taught.remark)
        alone, sides = speakers.voices(
            meant,
            strength=strength,
            whole_chain=strength_all,
            thinking=thinking,
            taught=taught,
            reporter=shown,
        )
    settings = ChatSettings(temperature, top_p, max_tokens, seed)
    conversation = Conversation(sides if compare else alone, settings, told, beside=sides)
    if messages:
        screen.answer_messages(conversation, messages, each=each, as_json=as_json)
    elif piped:
        screen.answer_lines(conversation, sys.stdin, each=each, as_json=as_json)
    else:
        screen.talk(conversation, remembered=None if no_history else history_file())


def _taught(meant: meaning.Meant, target: str | None, reporter: Reporter) -> meaning.Prompts:
    """Return the prompts to compare with; where there was a choice that nobody made, say so."""
    taught, names = meaning.prompts(meant, target)
    if len(names) > 1 and target is None:
        others = ", ".join(name for name in names if name != taught.target)
        reporter.note(f"the prompt is that of {taught.target}; --target takes another: {others}")
    return taught
