"""Who really writes the questions of a plan, or wrote them, where an endpoint is asked for them.

Without its key the base writes in its place: said before and after, and made anew when it is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bakery.app.opening import Models
from bakery.errors import ConfigError
from bakery.records import ASK_A_MODEL
from bakery.repo.look.forecasts import Writer
from bakery.repo.model_repo import ModelRepo
from bakery.repo.plan.planned import Plan, PlannedTarget
from bakery.reporting import Reporter
from bakery.schema.model_names import served_as
from bakery.store import results
from bakery.store.store import Store

AGAIN = "`bgit run stim --again`"


@dataclass(frozen=True, slots=True)
class Asked:
    """A generator that asks an endpoint for questions, and what has become of that."""

    target: PlannedTarget
    source: int
    model: str
    written: Counter[str]
    """How many questions there are, by who wrote them."""
    is_complete: bool
    why_not: str | None
    """Why the endpoint cannot be asked here; None: it can."""
    base: str
    may_fall_back: bool

    @property
    def in_place(self) -> int:
        """How many questions the base wrote in its place."""
        return 0 if self.base == self.model else self.written[self.base]

    @property
    def writer(self) -> Writer:
        """Who wrote what is there, and who will write the rest."""
        rest = None if self.is_complete else self.base if self.why_not else self.model
        names = [name if len(self.written) == 1 else f"{count} {name}"
                 for name, count in self.written.most_common()]  # fmt: skip
        if rest is not None and list(self.written) != [rest]:
            names.append(f"the rest {rest}" if names else rest)
        name = ", ".join(names) or self.model
        return Writer(name, None if name == self.model else self.model, rest)

    def warnings(self) -> Iterator[str]:
        """Yield what a person should know before and after a run."""
        if self.in_place:
            count = f"{self.in_place} question{'s' * (self.in_place != 1)}"
            can = f"{AGAIN} has it write them"
            how = f"{self.why_not}; with one, {can}" if self.why_not else can
            yield (
                f"{count} of {self.target.base_name} {'is' if self.in_place == 1 else 'are'} by "
                f"{self.base}, not by {self.model}: {how}"
            )
        elif self.why_not and not self.is_complete:
            yield (
                f"{self.model} cannot write the questions: {self.why_not}; {self.base} would write "
                "them instead"
            )

    def refuse(self) -> None:
        """Refuse that another writes, or wrote, where the generator says `fallback: false`."""
        if self.may_fall_back:
            return
        if self.in_place:
            raise ConfigError(
                f"{self.in_place} questions of {self.target.base_name} were written by "
                f"{self.base}, not by {self.model}, and its generator says `fallback: false`",
                hint=f"{AGAIN} has {self.model} write them.",
            )
        if self.why_not and not self.is_complete:
            raise refusal(self.model, self.why_not)


def refusal(model: str, why: str) -> ConfigError:
    """Return the error of an endpoint that has to write and cannot be asked."""
    return ConfigError(
        f"{model} cannot write the questions: {why}",
        hint="Set it in the environment. Without `fallback: false` the base would write them.",
    )


def asked_for(models: Models, store: Store, plan: Plan) -> list[Asked]:
    """Return every generator of a plan that asks an endpoint for questions."""
    found = []
    for target in plan.targets:
        folder = store.stim(target.stim.id)
        for source, generator in enumerate(target.stim.generators):
            model = generator.get("model")
            asks = generator["type"] in {*ASK_A_MODEL, "facts"} and model is not None
            if not asks or not models.is_hosted(model):
                continue
            rows = results.stimuli(folder)
            found.append(
                Asked(
                    target,
                    source,
                    served_as(str(model)),
                    Counter(row.writer for row in rows if row.source == source),
                    results.is_done(folder),
                    models.cannot_ask(str(model)),
                    plan.head.base.name,
                    generator.get("fallback", True),
                )
            )
    return found


@contextmanager
def asked_again(repo: ModelRepo, models: Models, plan: Plan, reporter: Reporter) -> Iterator[None]:
    """Put aside questions that the base wrote in the place of who was asked, and what came of them.

    The run within has them written anew; where it gets none, all lies as it did before. What a
    recorded bake learnt stays.
    """
    mine = [one for one in asked_for(models, repo.store, plan) if one.in_place]
    if not mine:
        reporter.note("every question is by who was asked for it: none is written again")
    for one in mine:
        if one.why_not:
            raise refusal(one.model, one.why_not)
    names = {one.target.stim.id: one.target.base_name for one in mine}
    made = {stim_id: list(_made_of(repo.store, stim_id)) for stim_id in names}
    for stim_id, name in names.items():
        _check_unrecorded(repo, made[stim_id], name)
    moved: dict[str, dict[Path, Path]] = {stim_id: {} for stim_id in names}
    try:
        for stim_id, name in names.items():
            for folder in [repo.store.stim(stim_id), *made[stim_id]]:
                with repo.store.lock(folder, "bgit run stim --again"):
                    if (aside := repo.store.put_aside(folder)) is not None:
                        moved[stim_id][folder] = aside
            reporter.note(
                f"the questions of {name}, and what came of them, are in "
                f"{repo.store.root / 'replaced'}"
            )
        yield
    except BaseException:
        for stim_id, name in names.items():
            if moved[stim_id] and not results.stimuli(repo.store.stim(stim_id)):
                _put_back(repo.store, moved[stim_id])
                reporter.note(f"no question of {name} was written: the earlier ones are back")
        raise


def _put_back(store: Store, moved: Mapping[Path, Path]) -> None:
    for place, aside in moved.items():
        store.put_aside(place)  # what was begun in the meantime
        aside.rename(place)


def _made_of(store: Store, stim_id: str) -> Iterator[Path]:
    """Yield the answers to a set of questions, and the bakes that learnt them."""
    answers = set()
    for folder in sorted((store.root / "target").glob("*")):
        said = results.seen(folder / results.REQUEST) or {}
        if said.get("stim_id") == stim_id:
            answers.add(folder.name)
            yield folder
    for folder in sorted((store.root / "bake").glob("*")):
        shares = (results.seen(folder / results.REQUEST) or {}).get("shares")
        if isinstance(shares, list) and any(_id_of(share) in answers for share in shares):
            yield folder


def _id_of(share: object) -> object:
    return share.get("id") if isinstance(share, dict) else None


def _check_unrecorded(repo: ModelRepo, folders: Sequence[Path], name: str) -> None:
    there = {folder.name for folder in folders}
    for bake in repo.lineage().bakes.values():
        if {bake.id, *(str(target["id"]) for target in bake.data["targets"])} & there:
            raise ConfigError(
                f"the questions of {name} are those of {bake.name}, which is recorded: they stay",
                hint="Another `numq` asks for other questions, which are kept beside these.",
            )
