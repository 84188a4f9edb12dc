"""The door `bgit`: finds the command, and hands every other verb to git.

No command is imported before it is called.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from bakery.cli import fetching, passthrough, rim
from bakery.errors import BakeryError
from bakery.spelling import nearest

# section → command → what it does. Shown by --help without importing anything.
SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Bake": {
        "init": "Make a model repository.",
        "run": "Run stages of the pipeline: stim, rollout, bake.",
        "check": "Validate input.yml, and print what a run would make and take.",
        "status": "Show where the repository stands and what `run` would do.",
        "jobs": "List the runs in the background, or follow one.",
        "cancel": "Stop runs in the background.",
        "fetch": "Record what was baked in the background, or fetch as git does.",
    },
    "Look": {
        "stim": "Show the questions of the configured target, and the shares of its mix.",
        "rollout": "Show the teacher's answers of the configured target, and which were cut.",
        "metrics": "Show how training went.",
        "target": "List the targets of this branch, or show one in full.",
        "models": "List the models: the base, and what was baked on it.",
        "show": "Show how a model was made, or any object of git.",
        "diff": "Compare the recipes of two models, or anything else as git does.",
        "blame": "Say which bake an answer comes from (--weights), or blame as git does.",
        "bisect": "Find the first bad bake of a chain (--weights), or bisect as git does.",
        "tree": "Show which model was baked on which, over all branches.",
        "report": "Write one HTML file that shows whether a model holds, and how it was made.",
        "chat": "Talk to a model.",
        "serve": "Answer as every model of the repository, by OpenAI's API.",
        "ui": "Show the repository as a page in a browser.",
        "eval": "Measure how near a bake is to its prompt, and what it cost.",
        "test": "Ask a model the questions of tests.yml, and check its answers.",
    },
    "Bring together": {
        "merge": "Merge a branch and its weights (--weights), or merge as git does.",
        "cherry-pick": "Put one bake on this branch's model (--weights), or as git does.",
    },
    "Share": {
        "weights": "Show, set or remove the remote of weights.",
        "push": "Send the weights that a remote lacks, then push as git does.",
        "pull": "Pull as git does, then fetch the current model's weights.",
        "download": "Write a model's weights to a folder or an archive.",
        "publish": "Make a model repository on the Hugging Face Hub from a model.",
        "import": "Bring weights, questions and answers into this clone.",
        "reproduce": "Make a model again from its recipe, and compare the digests.",
        "verify": "Ask a server the probes of a bake, and say whether it is that bake.",
    },
    "Keep": {
        "fsck": "Check git's objects, then the store against recipes.",
        "gc": "Tidy git's objects, then remove what nothing needs from the store.",
    },
    "Undo": {
        "adopt": "Make another branch's model, or any other, the current one.",
        "rebase": "Make a chain anew on another base (--base-model), or rebase as git does.",
        "revert": "Take bakes back, or revert any other commit as git does.",
    },
    "Help": {
        "help": "Explain a command with examples, or a verb of git as git does.",
        "version": "Show the versions of bgit and git.",
        "completion": "Print what makes a shell complete bgit's words.",
    },
}

_ASIDE = ("help", "version", "completion")
"""Commands that are about bgit itself: they neither need nor touch a repository."""

GIT_LINE = "Every other verb is git's: bgit add, commit, log, switch, clone, tag, …"

# Where a command's name cannot be that of its module: module and attribute.
_PLACES = {"import": ("import_", "import_"), "eval": ("eval", "evaluate"),
           "cherry-pick": ("cherry_pick", "cherry_pick")}  # fmt: skip


# What the commit hook of the tool that this one follows runs in its clones; here nothing needs it,
# and a refusal would forbid every commit.
_FORMER_HOOK = "update-bread"


def names() -> list[str]:
    """Return the names of our own commands."""
    return [name for commands in SECTIONS.values() for name in commands]


def place(name: str) -> tuple[str, str]:
    """Return the module of a command, and what it is called there."""
    return _PLACES.get(name, (name, name))


class LazyGroup(click.Group):
    """Commands that are imported when they are called; any other verb goes to git unchanged."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of our own commands."""
        return names()

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import a command at the moment it is asked for."""
        if name not in self.list_commands(ctx):
            return None
        module, attribute = place(name)
        command = getattr(importlib.import_module(f"bakery.cli.{module}"), attribute)
        assert isinstance(command, click.Command)
        command.epilog = f"`bgit help {name}` has examples."
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by what people want to do."""
        for section, commands in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()))
        with formatter.section("Git"):
            formatter.write_text(GIT_LINE)

    def main(self, args: Sequence[str] | None = None, *rest: Any, **extra: Any) -> NoReturn:
        """Run one command line, and end the process with its exit code."""
        extra["standalone_mode"] = False
        words = list(sys.argv[1:] if args is None else args)
        rim.end(
            lambda: self._run(words, *rest, **extra),
            stopped="run the same command again to go on from here",
        )

    def _run(self, arguments: list[str], *rest: Any, **extra: Any) -> int:
        arguments = arguments or ["--help"]
        verb = arguments[0]
        ours = verb in self.list_commands(click.Context(self))
        asks = ours and (verb in _ASIDE or {"-h", "--help"} & set(arguments))
        if not verb.startswith("-") and not asks:
            _finish_pending()
        if verb == _FORMER_HOOK:
            return 0
        if verb == "push" and not {"-h", "--help"} & set(arguments):
            _refuse_made_up(arguments[1:])
        if not verb.startswith("-") and not ours:
            self._suggest(verb)
            fresh = _places_of_clone(arguments[1:]) if verb == "clone" else ()
            code = passthrough.hand_to_git(arguments)
            if code == 0 and fresh:
                _announce_remote(fresh)
            if (
                verb == "commit"
                and code == 0
                and not {"--dry-run", "-h", "--help"} & set(arguments)
            ):
                _warn_of_mistakes()
            return code
        if ours and not asks:
            fetching.allow()
        result = super().main(arguments, *rest, **extra)
        return result if isinstance(result, int) else 0

    def _suggest(self, verb: str) -> None:
        """Name the command of ours that a verb which git does not know most likely means."""
        known = {name: name for name in names()} | {"bake": "run bake"}
        near = nearest(verb, known)
        if near and not passthrough.is_known(verb):
            rim.show_hint(f"did you mean `bgit {known[near[0]]}`?")


def _show_version(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    """Print the version, which is looked up only now."""
    if asked:
        import bakery

        click.echo(f"bgit {bakery.__version__}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and exit.",
)  # fmt: skip
def bgit() -> None:
    """Git for model weights: say in input.yml what to bake in, commit it, run it."""


def _finish_pending() -> None:
    """Record a bake whose commit could not be made before; trouble there stops no other command."""
    from bakery.repo.model_repo import ModelRepo
    from bakery.reporting import Quiet

    try:
        repo = ModelRepo.find()
    except BakeryError:
        return  # Outside a model repository nothing can be pending.
    if not repo.store.journals():
        repo.finish_pending(Quiet())
        return
    from bakery.ui.progress import reporter  # here: it is slow to import, and seldom needed

    with reporter() as shown:
        try:
            repo.finish_pending(shown)
        except BakeryError as error:
            shown.note(f"a finished bake is not recorded yet: {error.message}")


def _refuse_made_up(arguments: Sequence[str]) -> None:
    """Refuse to push what no model said; outside a model repository nothing is."""
    from bakery.repo.commits import publishing
    from bakery.repo.model_repo import ModelRepo

    try:
        repo = ModelRepo.find()
    except BakeryError:
        return
    publishing.refuse_made_up(repo.git, arguments)


def _places_of_clone(words: Sequence[str]) -> list[Path]:
    """Return the folders that a clone may make: each word, or what git calls a folder by it."""
    named = [re.split(r"[/:]", re.sub(r"(/?\.git)?/*$", "", w))[-1] for w in words]
    both = [word for word in (*words, *named) if word and not word.startswith("-")]
    places = [Path(word.removesuffix(".bundle")) for word in dict.fromkeys(both)]
    return [p for p in places if not p.exists() or (p.is_dir() and not any(p.iterdir()))]


def _announce_remote(places: Sequence[Path]) -> None:
    """Say which remote of weights a new clone's repository proposes; nothing of it is opened."""
    from bakery.app import weights
    from bakery.repo.model_repo import ModelRepo
    from bakery.ui import console

    for place in places:
        if (place / ".bread").is_file():
            with contextlib.suppress(BakeryError):
                found = weights.remote(ModelRepo.find(place))
                if found.is_waiting:
                    console.note(found.announcement)


def _warn_of_mistakes() -> None:
    """Say at once what of the committed input.yml `run` would refuse; git has done its work."""
    from bakery.repo.model_repo import ModelRepo
    from bakery.ui import console

    try:
        repo = ModelRepo.find()
    except BakeryError:
        return  # The commit was made elsewhere (`bgit commit` outside a model repository).
    try:
        repo.plan()
    except BakeryError as error:
        console.note(f"`bgit run` would refuse what is committed: {error.message}")
        then = "Then `bgit check`, and `bgit commit --amend`."
        rim.show_hint(f"{error.hint} {then}" if error.hint else f"Fix it. {then}")
