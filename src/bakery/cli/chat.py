"""`bgit chat`: a conversation on the terminal, or one answer per line of a pipe."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import click

from bakery import jobs
from bakery.errors import BakeryError
from bakery.records import Message
from bakery.repo.model_repo import ModelRepo
from bakery.ui.progress import reporter

HELP = """\
/system TEXT  set the system prompt; without TEXT, take it away
/clear        forget the conversation, keep the system prompt
/status       model, system prompt, length of the conversation
/quit         leave (so do /exit and Ctrl-D)"""

FORGET = "/clear forgets what was said so far."

Reply = Callable[[Sequence[Message]], Iterator[str]]


@click.command()
@click.argument("model", required=False)
@click.option("--system", metavar="TEXT", help="A system prompt to begin with.")
def chat(model: str | None, system: str | None) -> None:
    """Talk to a model.

    MODEL is a full name, a bake's name, the first digits of its id, a tag, `base`, or `parent`:
    the current model, as without MODEL. With piped input, every line gets its answer on one line.
    """
    # Without MODEL a repository has to say which one is current.
    repo = ModelRepo.find() if model is None else _repository()
    name = full_name(repo, model or "parent")
    with reporter() as shown:
        shown.note(f"loading {name}")
        session = jobs.open_chat(repo, name, reporter=shown)
    conversation = Conversation(name, lambda messages: iter(session.reply(messages)), system)
    if sys.stdin.isatty():
        _talk(conversation)
    else:
        answer_lines(conversation)


def full_name(repo: ModelRepo | None, text: str) -> str:
    """Return the whole name of the model that a text means; outside of a repository the text."""
    if repo is None:
        return text
    recorded = repo.find_model(text)
    return str(recorded.model) if recorded else repo.state().base.name


@dataclass
class Conversation:
    """What was said so far. `system` None: no system message is sent."""

    model: str
    ask: Reply
    system: str | None = None
    turns: list[Message] = field(default_factory=list)

    def reply(self, text: str) -> Iterator[str]:
        """Yield the answer piece by piece; an answer that was stopped is not remembered."""
        question: Message = {"role": "user", "content": text}
        pieces = []
        for piece in self.ask([*self._prefix(), *self.turns, question]):
            pieces.append(piece)
            yield piece
        self.turns += [question, {"role": "assistant", "content": "".join(pieces)}]

    def command(self, line: str) -> str | None:
        """Obey a slash command and return what to say; None: leave."""
        word, _, rest = line.partition(" ")
        text = rest.strip()
        if word in ("/quit", "/exit"):
            return None
        if word == "/clear":
            self.turns.clear()
            return "The conversation is forgotten."
        if word == "/system":
            self.system = text or None
            return "The system prompt is set." if text else "There is no system prompt now."
        if word == "/status":
            return self._status()
        return HELP if word == "/help" else f"There is no {word}.\n{HELP}"

    def _prefix(self) -> list[Message]:
        return [{"role": "system", "content": self.system}] if self.system else []

    def _status(self) -> str:
        return (
            f"model   {self.model}\nsystem  {self.system or '(none)'}\n"
            f"turns   {len(self.turns) // 2}"
        )


def answer_lines(conversation: Conversation) -> None:
    """Answer every line of stdin on one line of stdout; what commands say goes to stderr."""
    for raw in sys.stdin:
        line = raw.strip()
        if line.startswith("/"):
            said = conversation.command(line)
            if said is None:
                return
            click.echo(said, err=True)
        elif line:
            try:
                answer = "".join(conversation.reply(line))
            except BakeryError as error:
                raise type(error)(error.message, hint=FORGET) from error
            click.echo(" ".join(answer.split("\n")))


def _repository() -> ModelRepo | None:
    """Return the repository around us; None: outside of one the base model can still talk."""
    try:
        return ModelRepo.find()
    except BakeryError:
        return None


def _talk(conversation: Conversation) -> None:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # Gives input() its line editing, where there is one.
    click.echo(f"{conversation.model}: /help lists the commands, Ctrl-D leaves.")
    while True:
        try:
            line = input("\n> ").strip()
        except (EOFError, KeyboardInterrupt):
            click.echo()
            return
        if line.startswith("/"):
            said = conversation.command(line)
            if said is None:
                return
            click.echo(said)
        elif line:
            _stream(conversation, line)


def _stream(conversation: Conversation, line: str) -> None:
    """Print an answer as it comes; what goes wrong ends the answer, not the conversation."""
    try:
        for piece in conversation.reply(line):
            click.echo(piece, nl=False)
    except KeyboardInterrupt:
        click.echo(" (stopped)", nl=False)
    except BakeryError as error:
        click.echo(f"error: {error.message}\nhint: {FORGET}", nl=False)
    click.echo()
