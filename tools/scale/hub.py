"""What the Hugging Face Hub says of its limits, and when this load would reach them."""

from __future__ import annotations

from dataclasses import dataclass

from scale.inputs import Inputs

WINDOW_S = 300.0
"""All of the hub's quotas are of fixed windows of five minutes."""

TIERS = {
    "free": (1_000, 5_000),
    "PRO": (2_500, 12_000),
    "Team": (3_000, 20_000),
    "Enterprise": (6_000, 50_000),
    "Enterprise Plus": (10_000, 100_000),
}
"""Calls of the API, and files resolved, in a window: for a user or, of organisations, each member.
docs/hub/rate-limits, "in September '25"."""

FOLDER_ENTRIES, FILES, COMMITS, COMMIT_FILES = 10_000, 100_000, 3_000, 100
"""In a folder (said to be a limit), and of a repository (recommended); commits "a few thousand";
files in a commit (recommended). docs/hub/storage-limits."""


@dataclass(frozen=True, slots=True)
class Reached:
    """A limit of a single repository for all bakes, and after how many days it is reached."""

    what: str
    limit: str
    days: float


def one_repository(given: Inputs) -> list[Reached]:
    """Return when one repository of the hub, as the remote of all, comes to its limits."""
    bakes = given["bakes_a_day"]
    files = given["objects"] + given["manifests"]
    more = files + given["data_objects"] + given["data_manifests"]
    return [
        Reached("commits", "a few thousand", COMMITS / (bakes * given["push_commits"])),
        Reached("files, with --data", "100,000, advised", FILES / (bakes * more)),
        Reached("folders in models/", "10,000", FOLDER_ENTRIES / bakes),
        Reached("files", "100,000, advised", FILES / (bakes * files)),
        Reached(
            "files in objects/xx/", "10,000", 256 * FOLDER_ENTRIES / (bakes * given["objects"])
        ),
    ]


def calls(given: Inputs, scale: float = 1.0) -> tuple[float, float]:
    """Return calls of the API and files resolved in the busiest window, by pushes and pulls."""
    bakes = given["bakes_a_day"] * scale * given["peak_factor"] * WINDOW_S / 86_400
    api = bakes * (given["push_calls"] + given["readers"] * given["pull_calls"])
    # A push reads the manifests of its branch, of which there is about one.
    return api, bakes * (given["manifests"] + given["readers"] * given["pull_files"])


def enough(api: float, files: float) -> str:
    """Return the smallest tier whose one token could make so many calls."""
    return next((name for name, (a, r) in TIERS.items() if api <= a and files <= r), "none")
