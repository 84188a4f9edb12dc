"""`bgit show` says with how many steps, in what batches and from what answers a bake was made."""

from __future__ import annotations

import json

from bakery.repo.look import made, show
from bakery.ui.show import show_record
from tests.support.recorded import STEP, baked


def test_steps_batch_and_temperature_are_shown(repo, capsys):
    baked(repo, "one")
    bake = repo.bakes()[0]
    target = repo.store.target(bake.data["targets"][0]["id"])
    target.mkdir(parents=True, exist_ok=True)
    sampling = {"num_traj_per_stimulus": 2, "max_tokens": 96, "temperature": 0.5, "top_p": 1.0}
    (target / "request.json").write_text(json.dumps({"sampling": sampling}))
    path = repo.store.bake(bake.id) / "bake.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "batch": 4}))
    show_record(show.describe(repo, bake))
    rows = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if " " in line)
    assert (rows["steps"].strip(), rows["batch"].strip()) == (str(STEP), "4")
    assert (rows["temperature"].strip(), rows["max_tokens"].strip()) == ("0.5", "96")


def test_what_this_clone_does_not_have_is_left_out(repo, capsys):
    baked(repo, "one")
    bake = repo.bakes()[0]
    (repo.store.bake(bake.id) / "bake.json").write_text("{")
    assert made.of(repo.store, bake).batch is None
    show_record(show.describe(repo, bake))
    out = capsys.readouterr().out
    assert "\nsteps" in out
    assert "\nbatch" not in out
    assert "temperature" not in out


def test_a_warning_is_not_announced_as_a_note_as_well(repo, capsys):
    baked(repo, "one")
    found = show.describe(repo, repo.bakes()[0])
    found.bake.data["notes"] = ["warning: nobody asked", "cut short"]
    show_record(found)
    last = capsys.readouterr().out.splitlines()[-2:]
    assert last == ["warning: nobody asked", "note: cut short"]
