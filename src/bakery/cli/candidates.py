"""What may stand next on a command line: for a shell that completes words.

Nothing is planned, and no command imported: an answer has to come within a keypress.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import resources
from typing import TYPE_CHECKING

from bakery.brief import brief
from bakery.cli import app, options, passthrough, raw
from bakery.errors import BakeryError
from bakery.evals.figures import AXES
from bakery.evals.suites import SUITES

if TYPE_CHECKING:
    from bakery.repo.model_repo import ModelRepo

Candidates = dict[str, str]
"""Words that may stand there, each with what it is."""

SHOWN = 60
"""Characters of what a candidate is."""

ONCE = (
    "target", "chat", "report", "download", "reproduce", "adopt", "eval", "help", "completion",
    "publish",
)  # fmt: skip
"""Commands that take a single word, besides options."""

GITS = ("show", "diff", "blame", "bisect", "rebase", "revert", "fetch", "fsck", "gc")
"""Commands whose name is a verb of git's, too."""


WEIGHED = ("blame", "bisect")
"""Those of them that are ours only with --weights."""


def following(words: Sequence[str]) -> Candidates:
    """Return what the last of the words may become; nothing where only files can stand there."""
    *before, word = _joined(words) or [""]
    found = _of_verb(before, word) if before else _verbs()
    # A line is a candidate, and a terminal obeys what it cannot show.
    kept = {c: what for c, what in found.items() if c.startswith(word) and c.isprintable()}
    whole = words[-1] if words else ""
    front = whole.removesuffix(word) if whole.startswith("--") and "=" in whole else ""
    return {front + c: brief(what, SHOWN) for c, what in _short_first(kept, word).items()}


def _of_verb(before: Sequence[str], word: str) -> Candidates:
    verb, *typed = before
    if verb not in app.names():
        return _of_git(verb, word)
    module, _ = app.place(verb)
    known = options.of(module)
    if "--" in typed:
        return {}
    if word.startswith("-"):
        ours = {name: option.what for option in known for name in option.names}
        return {**ours, **(_git_options(verb) if verb in GITS else {})}
    last = typed[-1] if typed else ""
    for option in known:
        values = _values(verb, option.names) if last in option.names else {}
        if values or (last in option.names and option.takes_value):
            return values
    taken = _positional(typed, known)
    if verb in WEIGHED:
        if raw.WEIGHTS in typed:
            return _weighed(verb, taken)
        # What git's bisect begins with are words, which it lists as options.
        return _git_options(verb) if verb == "bisect" and not taken else _of_git(verb, word)
    if verb == "rebase":
        return {} if "--base-model" in typed else _of_git(verb, word)
    return {} if taken and verb in ONCE else _arguments(verb, taken)


def _verbs() -> Candidates:
    ours = {name: what for commands in app.SECTIONS.values() for name, what in commands.items()}
    return {**ours, **{verb: "git" for verb in passthrough.verbs() if verb not in ours}}


def _values(verb: str, names: Sequence[str]) -> Candidates:
    """Return what may stand behind an option."""
    name = max(names, key=len)
    fixed: dict[tuple[str, str], Callable[[], Candidates]] = {
        ("run", "--allow"): _waivers,
        ("run", "--on"): lambda: _words("local-cluster", "ray://"),
        ("rebase", "--allow"): _waivers,
        ("metrics", "--series"): _series,
        ("init", "--template"): _templates,
        ("download", "--format"): lambda: _words("folder", "tar.gz"),
        ("rollout", "--finish"): _ends,
        ("init", "--base-model"): lambda: _words("tiny"),
        ("rebase", "--base-model"): lambda: _words("tiny"),
        ("eval", "--suite"): lambda: _words(*SUITES),
        ("eval", "--only"): lambda: _words(*AXES),
        ("serve", "--engine"): lambda: _words("vllm", "llama.cpp"),
    }
    if (verb, name) in fixed:
        return fixed[verb, name]()
    kinds = {
        "--target": "targets", "--follow": "jobs", "--log": "jobs", "--branch": "branches",
        "--against": "models", "--check": "models",
        "--good": "models", "--bad": "models",
    }  # fmt: skip
    return _named(kinds[name]) if name in kinds else {}


def _arguments(verb: str, taken: Sequence[str]) -> Candidates:
    """Return what a command takes besides options."""
    match verb:
        case "run":
            return _words(*(s for s in ("stim", "rollout", "bake") if s not in taken))
        case "target":
            return {"ls": "list them", **_named("targets")}
        case "cancel":
            return _named("jobs")
        case (
            "chat"
            | "report"
            | "download"
            | "reproduce"
            | "metrics"
            | "eval"
            | "test"
            | "serve"
            | "publish"
        ):
            return _named("models")
        case "show" | "diff" | "adopt" | "revert":
            return {**_named("models"), **_named("branches")}
        case "fetch":
            return _words(*_lines("git", "remote"))
        case "verify":
            return _named("models") if taken else {}
        case "help":
            return _verbs()
        case "completion":
            return _words("bash", "zsh", "fish")
        case _:
            return {}


def _weighed(verb: str, taken: Sequence[str]) -> Candidates:
    """Return what stands behind --weights; a question, a command and files are nobody's to know."""
    if verb == "bisect":
        return {} if taken else _words("run")
    return _named("models") if len(taken) == 1 else {}


def _of_git(verb: str, word: str) -> Candidates:
    """Return options, or branches and tags; files are the shell's."""
    return _git_options(verb) if word.startswith("-") else _named("branches")


def _git_options(verb: str) -> Candidates:
    listed = " ".join(_lines("git", verb, "--git-completion-helper")).split()
    return _words(*(option.removesuffix("=") for option in listed if option != "--"))


def _named(kind: str) -> Candidates:
    """Return names of the repository around us; none outside of one."""
    from bakery.repo.look import names
    from bakery.repo.model_repo import ModelRepo

    read: Mapping[str, Callable[[ModelRepo], Candidates]] = {
        "models": names.models,
        "targets": names.targets,
        "jobs": names.jobs,
        "branches": names.branches,
    }
    with suppress(BakeryError):
        return read[kind](ModelRepo.find())
    if kind == "branches":  # of a repository of git's alone
        return _words(*_lines("git", "for-each-ref", "--format=%(refname:short)"))
    return {}


def _waivers() -> Candidates:
    from bakery.app.gates import WAIVERS

    return _words(*WAIVERS)


def _series() -> Candidates:
    from bakery.repo.look.metrics import SERIES

    return _words(*SERIES, "all")


def _ends() -> Candidates:
    from bakery.repo.look.questions import ENDS

    return _words(*ENDS)


def _templates() -> Candidates:
    folders = resources.files("bakery").joinpath("templates").iterdir()
    return _words(*sorted(folder.name for folder in folders if folder.is_dir()))


def _words(*words: str) -> Candidates:
    return dict.fromkeys(words, "")


def _lines(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else []


def _joined(words: Sequence[str]) -> list[str]:
    """Return words with `--option=value` as two: bash hands it over as three, others as one."""
    found: list[str] = []
    for word in words:
        if word == "=" and found and found[-1].startswith("--"):
            found.append("")
        elif found and found[-1] == "" and len(found) > 1 and found[-2].startswith("--"):
            found[-1] = word
        else:
            found += word.split("=", 1) if word.startswith("--") and "=" in word else [word]
    return found


def _positional(typed: Sequence[str], known: Sequence[options.Option]) -> list[str]:
    """Return the words that are neither options nor their values."""
    valued = {name for option in known if option.takes_value for name in option.names}
    return [
        word
        for index, word in enumerate(typed)
        if not word.startswith("-") and not (index and typed[index - 1] in valued)
    ]


def _short_first(found: Candidates, word: str) -> Candidates:
    """Leave out a name with its id where a shorter one may still be meant."""
    short = {name for name in found if name[-17:-16] != "_" or name[:-17] not in found}
    longer = word and all(len(name) <= len(word) for name in short)
    return found if longer else {name: what for name, what in found.items() if name in short}
