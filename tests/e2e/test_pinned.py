"""A run is what it was launched from, whatever happens in the folder while it goes on."""

from __future__ import annotations

import json

import pytest

from tests.e2e.conftest import Typist, input_yml
from tests.e2e.test_interrupted import running, trajectories, wait


@pytest.mark.slow
def test_another_branch_without_any_model_may_be_looked_at_while_a_run_goes_on(
    baked: Typist,
) -> None:
    baked.commit(input_yml(prompt="Mumble.", bake="third", questions=80))
    baked.git("switch", "-q", "--orphan", "notes")
    baked.write("mine", "notes.txt")
    baked.git("add", "notes.txt")
    baked.git("commit", "-qm", "Notes")
    baked.git("switch", "-q", "main")
    before = trajectories(baked)
    with running(baked) as process:
        wait(lambda: trajectories(baked) != before)
        baked.git("switch", "-q", "notes")
        _, err = process.communicate()
    assert process.returncode == 3
    assert "the bake is done, but branch 'main' was left for 'notes'" in err
    baked.git("switch", "-q", "main")
    done = baked("status", "--json")
    assert "was interrupted; it is completed" in done.err
    assert "/third_" in json.loads(done.out)["parent"]
    assert baked.changes() == ""
