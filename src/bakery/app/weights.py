"""Which remote of weights this clone uses, and which one its repository proposes.

An address in .bread is a stranger's, so it is a proposal: a clone opens the one alone that
somebody typed in it, which git's own config keeps. Keys are never in it.
"""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass

from bakery.errors import ConfigError, RepoError
from bakery.plain import Plain
from bakery.remotes import addresses
from bakery.repo.commits import proposing
from bakery.repo.files.names import WEIGHTS_REMOTE
from bakery.repo.git import Git
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter

OFFLINE = "BGIT_OFFLINE"
"""Set, no command fetches weights that nobody asked it for."""


@dataclass(frozen=True, slots=True)
class WeightsRemote(Plain):
    """Where weights travel to and from. "": nowhere."""

    enabled: str
    """What this clone opens."""
    proposed: str
    """What .bread proposes; an address that none may have is not repeated."""
    problem: str = ""
    """Why what is proposed can never be enabled."""
    commit: str | None = None
    """The commit that changed .bread just now."""

    @property
    def is_waiting(self) -> bool:
        """Whether something is proposed that this clone does not use."""
        return bool(self.problem) or self.proposed not in ("", self.enabled)

    @property
    def announcement(self) -> str:
        """What to say of a proposal that waits, and how it is enabled."""
        if self.problem:
            return f".bread proposes a remote of weights that is not opened: {self.problem}"
        if addresses.scheme(self.proposed) == "file":
            return (
                f".bread proposes {self.proposed} for weights, a folder of some machine: it is "
                "opened only where you type its address behind `bgit weights remote`"
            )
        return (
            f".bread proposes {self.proposed} for weights, and nothing of it was opened: "
            f"`bgit weights remote {shlex.quote(self.proposed)}` enables it in this clone"
        )


def remote(repo: ModelRepo) -> WeightsRemote:
    """Return which remote is enabled here, and which one is proposed. Nothing is opened."""
    proposed, problem = repo.state().weights, ""
    try:
        proposed = addresses.checked(proposed) if proposed else ""
    except ConfigError as error:
        proposed, problem = "", error.message
    return WeightsRemote(_enabled(repo.git), proposed, problem)


def enabled(repo: ModelRepo) -> str:
    """Return the remote that this clone opens; RepoError where there is none."""
    found = remote(repo)
    if not found.enabled:
        raise RepoError(
            "this clone has no remote of weights",
            hint=found.announcement
            if found.is_waiting
            else "`bgit weights remote URL` sets one: file:///folder, s3://bucket/prefix, "
            "gs://bucket/prefix, hf://owner/name.",
        )
    return found.enabled


def set_remote(repo: ModelRepo, text: str, reporter: Reporter) -> WeightsRemote:
    """Enable an address that somebody typed, and propose it in .bread, in one commit."""
    url = addresses.typed(text)
    made = None
    if repo.state().weights != url:
        made = proposing.propose(repo.git, repo.store, url, reporter)
    repo.git.run("config", "--local", WEIGHTS_REMOTE, url)
    if (folder := addresses.missing_folder(url)) is not None:
        reporter.note(f"there is no folder {folder} yet: `bgit push` makes it")
    return WeightsRemote(url, url, commit=made)


def remove(repo: ModelRepo, reporter: Reporter) -> WeightsRemote:
    """Forget the remote here, and propose none any more. What lies there stays."""
    made = None
    if repo.state().weights:
        made = proposing.propose(repo.git, repo.store, "", reporter)
    repo.git.ask("config", "--local", "--unset-all", WEIGHTS_REMOTE)
    return WeightsRemote("", "", commit=made)


def is_offline() -> bool:
    """Tell whether nothing is to be fetched that was not asked for."""
    return os.environ.get(OFFLINE, "").lower() not in ("", "0", "false", "no")


def _enabled(git: Git) -> str:
    said = git.ask("config", "--local", "--get", WEIGHTS_REMOTE)
    if not said:
        return ""
    try:
        return addresses.checked(said)
    except ConfigError as error:
        raise ConfigError(
            f"{WEIGHTS_REMOTE} in git's config: {error.message}",
            hint=f"`git config --unset {WEIGHTS_REMOTE}`.",
        ) from error
