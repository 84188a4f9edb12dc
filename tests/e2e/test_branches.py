"""Two lines of bakes, merged: one model is current, and the next bake really starts from it."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import Typist, input_yml


def tree(typist: Typist) -> list[str]:
    """Return the lines of the tree below the base, without ids and steps."""
    lines = typist.must("tree").splitlines()[1:]
    return [re.sub(r"_[0-9a-f]{16}/\d+", "", line) for line in lines]


@pytest.mark.slow
def test_branches_bake_apart_merge_and_go_on_from_either(baked: Typist, workplace: Path) -> None:
    baked.git("switch", "-q", "-c", "exp", "main~2")
    baked.commit(input_yml("Whisper!", "third"), "Configure third")
    baked.must("run", "stim", "rollout", "bake")
    third = baked.parent()
    baked.git("switch", "-q", "main")
    done = baked("merge", "--no-edit", "exp")
    assert done.code == 0, done.err
    assert tree(baked) == ["└── first", "    ├── second *  [main]", "    └── third  [exp]"]

    assert "the model is now" in baked.must("adopt", "exp")
    assert baked.parent() == third
    baked.commit(input_yml("Sing!", "fourth"), "Configure fourth")
    baked.must("run", "stim", "rollout", "bake")
    (folder,) = (baked.store / "bake").glob(f"{baked.parent().split('/')[2][-16:]}")
    made = json.loads((folder / "bake.json").read_text("utf-8"))
    assert made["parent"]["model"] == third
    assert tree(baked) == [
        "└── first",
        "    ├── second",
        "    └── third  [exp]",
        "        └── fourth *  [main]",
    ]

    clone = workplace / "clone"
    baked.git("clone", "-q", str(baked.root), str(clone))
    other = Typist(clone, baked.env)
    assert tree(other)[-1] == "        └── fourth *  [main]"
    assert "weights" in other.must("status")
    other.git("switch", "-q", "--detach", "HEAD~4")
    assert "    ├── second *  [HEAD]" in tree(other)
    shutil.rmtree(clone)


def test_a_bake_is_recorded_where_it_was_launched_though_another_branch_has_it(
    baked: Typist,
) -> None:
    """The branch that has it is checked out while it is made again for one that has not."""
    baked.git("switch", "-q", "-c", "other", "main~1")
    process = baked.started("run", "bake", "--force")
    end = time.monotonic() + 120
    while not list(baked.store.glob("locks/bake-*.json")):
        assert time.monotonic() < end, "no bake was begun"
        time.sleep(0.005)
    baked.git("switch", "-q", "main")
    _, err = process.communicate()
    assert process.returncode == 3, err
    assert "the bake is done, but branch 'other' was left for 'main'" in err
    baked.git("switch", "-q", "other")
    baked.must("status")
    assert baked.subjects()[0] == "bake: second"
    assert baked.git("diff", "main", "--", ".bread", "recipe.yml", "input.yml") == ""
    assert baked.changes() == ""


@pytest.mark.slow
def test_a_tag_with_the_name_of_its_branch_hides_no_job(typist: Typist) -> None:
    typist.git("switch", "-q", "-c", "feat")
    typist.git("tag", "feat")
    typist.commit(input_yml())
    typist.must("run", "--detach")
    typist.git("tag", "-d", "feat")
    typist.must("fetch", "--wait")
    assert typist.subjects()[0] == "bake: first"
    typist.git("tag", "feat")
    assert "heads/feat" not in typist.must("status") + typist.must("tree")
    assert typist.must("tree").count("[feat]") == 1
