"""What git runs to merge .bread, recipe.yml and input.yml; not a command for people.

    python -P -m bakery.cli.merge_driver BASE OURS THEIRS PATH MARKS

The result goes into OURS. Exit code 1: a person has to look at it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from bakery.repo.commits.merging import merge

_MARKS = 7
"""How long git makes conflict marks that people are to see."""


def main(arguments: Sequence[str]) -> int:
    """Merge one file."""
    base, ours, theirs, path, marks = arguments
    texts = [Path(name).read_bytes().decode("utf-8", "surrogateescape")
             for name in (base, ours, theirs)]  # fmt: skip
    merged = merge(path, *texts)
    Path(ours).write_bytes(merged.text.encode("utf-8", "surrogateescape"))
    # Longer marks: two ancestors are merged in between, and nobody will see that text.
    for note in merged.notes if int(marks) <= _MARKS else ():
        from bakery.ui.harmless import harmless  # here: most merges have nothing to say

        print(harmless(f"bgit: {note}"), file=sys.stderr)
    return 0 if merged.is_clean else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
