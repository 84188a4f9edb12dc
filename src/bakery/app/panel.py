"""The models that one made of two is held against: each asked once, all on one base in memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bakery.app import probed, stored
from bakery.app.probed import Asked
from bakery.errors import ModelError
from bakery.identity import BaseModelId
from bakery.records import ModelRef, Prompt, write_atomic
from bakery.repo.files.recipe import RecordedBake
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.store.results import PROBES
from bakery.store.store import Store

if TYPE_CHECKING:
    from bakery.backends.local import LocalModel
    from bakery.engine.models.models import BaseModel
    from bakery.evals.joining import Question
    from bakery.evals.moved import Heard
    from bakery.kept import Contradiction, Kept


@dataclass(slots=True)
class Panel:
    """Who is asked. A folder is None where that side is the base model itself."""

    base: BaseModelId
    ours: Path | None
    theirs: Path | None
    before: Path | None
    """The model that both come from."""
    probes: Sequence[tuple[Asked, Question]]
    reporter: Reporter
    given_up: frozenset[str] = frozenset()
    """The keys of questions to which the other side's answer stands: they count for nothing."""
    _loaded: BaseModel | None = None
    _heard: dict[str, Heard] = field(default_factory=dict)

    @property
    def questions(self) -> list[Question]:
        """What is asked, with what the prompted model answered."""
        chat = self.base_model().chat
        return [replace(one, prompted=chat.text(asked.prompted)) for asked, one in self.probes]

    def kept(self, folder: Path) -> tuple[list[Kept], list[dict[str, Any]]]:
        """Return what is left of each target in a model, and the model's own probes."""
        from bakery.evals import joining, moved

        if not self.probes:
            return [], []
        local = self._local(folder)
        now = self._hear(local, "the model that is made")
        found, questions = [], self.questions
        for name, sides in (("ours", ("ours", "both")), ("theirs", ("theirs",))):
            at = [
                i
                for i, one in enumerate(questions)
                if one.side in sides and one.key not in self.given_up
            ]
            if not at:
                continue
            heard = self._of(name)
            far = moved.moved(local, heard)
            before = replace(heard, said=tuple(heard.said[i] for i in at))
            own = [questions[i] for i in at]
            found += joining.kept(own, before, [now.said[i].text for i in at], [far[i] for i in at])
        return found, self._probes(local, now)

    def contradictions(self) -> list[Contradiction]:
        """Return the questions that the two sides answer against each other."""
        from bakery.evals import joining

        if not self.probes:
            return []
        said = [[one.text for one in self._of(name).said] for name in ("before", "ours", "theirs")]
        return joining.contradictions(self.questions, *said)

    def giving_way(self, found: Sequence[Contradiction], wins: str) -> frozenset[str]:
        """Return the keys of the questions to which the winner's answers are to stand."""
        from bakery.evals import joining

        side = "theirs" if wins == "ours" else "ours"
        said = [one.text for one in self._of(side).said]
        return joining.giving_way(self.questions, said, found, side)

    def base_model(self) -> BaseModel:
        """Return the base, loaded once."""
        from bakery.engine.models import models

        if self._loaded is None:
            with self.reporter.doing("loading"):
                self._loaded = models.load(self.base, dtype="float32", reporter=self.reporter)
            self._refuse_strange(self._loaded)
        return self._loaded

    def _refuse_strange(self, base: BaseModel) -> None:
        """Refuse questions that cannot have been asked of a base."""
        tokens = base.model.get_input_embeddings().num_embeddings
        for asked, one in self.probes:
            ids = (*asked.prefix, *asked.prompted)
            if len(asked.prefix) >= base.context or max(ids) >= tokens or min(ids) < 0:
                raise ModelError(
                    f"the {PROBES} of the bake that learnt {one.target} is damaged: it has a "
                    f"question that {base.id.name} cannot be asked",
                    hint=f"`bgit show {one.target}` names the bake. Without the {PROBES} in its "
                    "folder of the store its answers are not measured; baking it again writes it "
                    "anew.",
                )

    def _of(self, name: str) -> Heard:
        """Return what a side answers to everything."""
        if name not in self._heard:
            folder: Path | None = getattr(self, name)
            self._heard[name] = self._hear(self._local(folder), name)
        return self._heard[name]

    def _hear(self, local: LocalModel, who: str) -> Heard:
        from bakery.evals import joining

        with self.reporter.doing(f"asking {who} {len(self.probes)} questions"):
            return joining.hear(local, self.questions)

    def _local(self, folder: Path | None) -> LocalModel:
        from bakery.backends.local import LocalModel
        from bakery.engine.models.given import twin

        return LocalModel(twin(self.base_model()), parent=folder)

    def _probes(self, local: LocalModel, now: Heard) -> list[dict[str, Any]]:
        """Return the entries of probes.json for a model that gave these answers."""
        from bakery.evals import distances

        begun = distances.along(local.model, now.readout, now.views, now.said)
        return [
            {
                **asked.rest,
                "top": {**asked.rest["top"], "baked": one.first},
                "greedy": {**asked.rest["greedy"], "baked": list(said.ids)},
                "sure": {**asked.rest.get("sure", {}), "baked": one.each},
            }
            for (asked, _), said, one in zip(self.probes, now.said, begun, strict=True)
        ]


def of(
    repo: ModelRepo,
    sides: tuple[ModelRef | None, ModelRef | None, ModelRef | None],
    probes: Sequence[tuple[Asked, Question]],
    reporter: Reporter,
) -> Panel:
    """Return who is asked: the models of ours, of theirs, and the one that both come from."""
    ours, theirs, before = (stored.weights(repo, ref) if ref else None for ref in sides)
    return Panel(repo.state().base, ours, theirs, before, probes, reporter)


def questions(
    store: Store, bakes: Iterable[tuple[str, RecordedBake]], reporter: Reporter
) -> list[tuple[Asked, Question]]:
    """Return what bakes were asked, each with the side that learnt it.

    What is not here is said: nobody can tell what becomes of it.
    """
    with reporter.doing("loading"):  # of all that computes: the first to ask for it waits
        from bakery.evals.joining import Question

    found: dict[str, tuple[Asked, Question]] = {}
    for side, bake in bakes:
        prompts = {
            str(target["name"]): Prompt.from_data(target["teacher"]).text
            for target in bake.data["targets"]
            if target["teacher"] != target["student"] and not target.get("role")
        }
        for asked in _asked(store, bake, reporter):
            key = asked.key or f"{asked.target}/{asked.question}"  # of an earlier version
            if asked.target not in prompts or key in found:
                continue
            prompt = prompts[asked.target]
            found[key] = (
                asked,
                Question(key, asked.target, side, asked.question, asked.prefix, prompt),
            )
    return list(found.values())


def _asked(store: Store, bake: RecordedBake, reporter: Reporter) -> list[Asked]:
    path = store.bake(bake.id) / PROBES
    try:
        if path.is_file():
            return probed.read(path)
        why = f"{bake.name} has no {PROBES} here"
    except ModelError as error:
        why = error.message
    if any(target["teacher"] != target["student"] for target in bake.data["targets"]):
        reporter.note(f"{why}: what becomes of its answers is not measured")
    return []


def write_probes(
    folder: Path, told: Mapping[str, Any], probes: Sequence[Mapping[str, Any]]
) -> None:
    """Leave the probes of a model beside it; `told` says of which bake they are."""
    if probes:
        said = {"schema": 1, **told, "probes": list(probes)}
        write_atomic(folder / PROBES, json.dumps(said, ensure_ascii=False) + "\n")
