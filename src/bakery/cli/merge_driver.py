"""What git runs to merge .bread, recipe.yml and input.yml; no command for people.

    python -P -m bakery.cli.merge_driver BASE OURS THEIRS PATH

The result goes into OURS. Exit code 1: it holds a conflict.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bakery.repo.merging import merge


def main(arguments: Sequence[str]) -> int:
    """Merge one file."""
    base, ours, theirs, path = arguments
    texts = [Path(name).read_bytes().decode("utf-8", "surrogateescape")
             for name in (base, ours, theirs)]  # fmt: skip
    merged = merge(path, *texts)
    Path(ours).write_bytes(merged.text.encode("utf-8", "surrogateescape"))
    for note in merged.notes:
        print(f"bgit: {note}", file=sys.stderr)
    return 0 if merged.is_clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
