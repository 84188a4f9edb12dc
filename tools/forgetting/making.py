"""One chain: its bakes as a user makes them, then every target after each of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bakery import Repo
from bakery.app import chat, meaning
from bakery.evals.chain import Chain
from bakery.evals.lab import Case as Asked
from bakery.evals.lab import Lab, Near
from bakery.evals.neutral import NEUTRAL
from bakery.evals.sides import Said, of_bake
from bakery.evals.suites import SUITES
from bakery.records import Prompt
from bakery.reporting import Quiet
from bakery.store import results
from bakery.store.store import Store
from forgetting.cases import Case

WAYS: Mapping[str, dict[str, float]] = {
    "nothing": {},
    "replay": {"replay": 0.25},
    "retention": {"retention": 0.2},
    "both": {"replay": 0.25, "retention": 0.2},
}
MOST_TOKENS = 48
STOPS = ("questions", "teacher")
Row = dict[str, Any]


def made(cases: Sequence[Case], way: str, seed: int, folder: Path, *, base: str) -> Row:
    """Bake a chain, going on where it was stopped, and return what each model keeps of it.

    Chains of a seed share a store: what two of them would make alike is made once.
    """
    os.environ["BGIT_STORE"] = str(folder.parent / f"store-{seed}")
    clock = time.process_time()
    if (folder / "recipe.yml").is_file():
        repo = Repo(folder, progress=False)
    else:
        shutil.rmtree(folder, ignore_errors=True)
        repo = Repo.init(folder, base_model=base, owner="forgetting", name="f", progress=False)
    for case in cases[len(repo._repo.bakes()) :]:
        (repo.path / "input.yml").write_text(document(case, way, seed))
        repo.add("input.yml")
        # It may be committed already, by a run that was stopped.
        repo.git("commit", "--quiet", "--allow-empty", "-m", f"Bake {case.name}")
        repo.run(allow=STOPS)
    baked = time.process_time() - clock
    return {"base": base, "seed": seed, "way": way, "cpu_s": round(baked, 1), **_kept(repo, cases)}


def document(case: Case, way: str, seed: int) -> str:
    """Return the input.yml of one bake."""
    generators: list[Row] = [{"type": "hardcoded", "questions": list(case.written)}]
    if case.drawn:
        generators.append({"type": "oneshot_qs", "numq": case.drawn})
    target = {"name": case.name, "generators": generators, "num_traj_per_stimulus": 1}
    asked = {
        "PROMPT": {"teacher": {"messages": list(case.messages)}},
        "TARGET": target,
        "BAKE": {"name": case.name, "seed": seed, **WAYS[way]},
    }
    return json.dumps(asked, indent=1)


def _kept(repo: Repo, cases: Sequence[Case]) -> Row:
    """Measure each target after its own bake and each one since, and what has drifted."""
    meant = meaning.find(repo._repo, "parent")
    assert meant.folder is not None  # it was baked above
    opened = chat.opened(meant, reporter=Quiet())
    lab = Lab.of(of_bake(opened.local, opened.dial, Prompt(), Prompt()), SUITES["full"])
    chain = Chain(opened.local, meant.folder)
    recorded = {bake.id: bake for bake in repo._repo.bakes()}
    found: Row = {"gap": {}, "right": {}, "checks": {}, "kl_parent": {}, "drift": []}
    for at, (bake_id, case) in enumerate(zip(chain.bakes, cases, strict=True)):
        entry = next(
            one for one in recorded[bake_id].data["targets"]
            if one["name"].startswith(f"{case.name}_")
        )  # fmt: skip
        near = _near(lab, chain, at, Prompt(case.messages), _answers(repo._repo.store, entry))
        found["gap"][case.name] = [round(1 - one / near[0], 4) for one in near[1:]]
        found["kl_parent"][case.name] = round(near[0], 4)
        found["right"][case.name] = [
            _right(lab, chain, count, case) for count in range(at + 1, len(cases) + 1)
        ]
        found["checks"][case.name] = len(case.checks)
    found["drift"] = _drift(lab, chain, len(cases))
    return found


def _answers(store: Store, entry: Mapping[str, Any]) -> list[Asked]:
    asked = {one.id: one.messages for one in results.stimuli(store.stim(str(entry["stim_id"])))}
    rows = results.trajectories(store.target(str(entry["id"])))
    return [Asked(asked[row.stimulus_id], row.response_ids) for row in rows if row.response_ids]


def _near(lab: Lab, chain: Chain, at: int, teacher: Prompt, cases: Sequence[Asked]) -> list[float]:
    """Return KL(teacher ‖ model), nats per token: of its parent, its own model, each one since."""
    with chain.first(at):
        taught = lab.scored([teacher] * len(cases), cases)
    found = []
    for count in range(at, len(chain.bakes) + 1):
        with chain.first(count):
            found.append(_mean(lab.near(taught, lab.scored([Prompt()] * len(cases), cases))))
    return found


def _mean(near: Sequence[Near]) -> float:
    return sum(one.forward for one in near) / sum(one.tokens for one in near)


def _right(lab: Lab, chain: Chain, count: int, case: Case) -> float:
    """Return the share of the checks that the model after so many bakes passes, greedily."""
    said = _said(lab, chain, count, [question for question, _ in case.checks])
    passed = [
        re.search(right, one.text, re.IGNORECASE) is not None
        for (_, right), one in zip(case.checks, said, strict=True)
    ]
    return round(sum(passed) / len(passed), 4)


def _said(lab: Lab, chain: Chain, count: int, questions: Sequence[str]) -> list[Said]:
    asked = [({"role": "user", "content": question},) for question in questions]
    with chain.first(count):
        return lab.say("baked", asked, tokens=MOST_TOKENS)


def _drift(lab: Lab, chain: Chain, bakes: int) -> list[float]:
    """Return KL(first model ‖ each later one) in nats per token, on neutral questions."""
    said = _said(lab, chain, 1, NEUTRAL)
    cases = [
        Asked(({"role": "user", "content": question},), one.ids)
        for question, one in zip(NEUTRAL, said, strict=True)
        if one.ids
    ]
    with chain.first(1):
        first = lab.scored([Prompt()] * len(cases), cases)
    found = []
    for count in range(2, bakes + 1):
        with chain.first(count):
            found.append(
                round(_mean(lab.near(first, lab.scored([Prompt()] * len(cases), cases))), 4)
            )
    return found
