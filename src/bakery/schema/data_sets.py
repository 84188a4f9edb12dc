"""What `from_dataset` can be given: names of known data sets, ids of the hub, files."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath

FILE_KINDS = (".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".parquet", ".txt")


@dataclass(frozen=True, slots=True)
class HubData:
    """Where questions lie on the hub."""

    id: str
    field: str
    config: str | None = None
    split: str = "train"


KNOWN = {
    "squad": HubData("rajpurkar/squad", "question"),
    "gsm8k": HubData("openai/gsm8k", "question", "main"),
    "mmlu": HubData("cais/mmlu", "question", "all", "test"),
    "hellaswag": HubData("Rowan/hellaswag", "ctx"),
    "code_contests": HubData("deepmind/code_contests", "description"),
    "math_problems": HubData("nlile/hendrycks-MATH-benchmark", "problem"),
}

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_file(dataset: str) -> bool:
    """Tell whether a file of the repository is meant."""
    return PurePosixPath(dataset).suffix.lower() in FILE_KINDS or dataset.startswith("./")


def is_hub_id(dataset: str) -> bool:
    """Tell whether a data set of the hub is meant by its id."""
    return _HUB_ID.fullmatch(dataset) is not None


def leaves_repository(path: str) -> bool:
    """Tell whether a path can lead out of the repository, or into what git keeps of its own."""
    absolute = path.startswith(("/", "\\", "~")) or PureWindowsPath(path).drive
    parts = path.replace("\\", "/").split("/")
    # Some file systems know no capitals, and no dots and blanks at the end of a name.
    return bool(absolute) or ".." in parts or ".git" in [p.lower().rstrip(". ") for p in parts]
