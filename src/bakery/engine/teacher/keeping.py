"""How a teacher is kept while a student learns: recorded, in part or whole, or run at every step.

Decided here for both doors, by what a record would take and may take.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from bakery.engine.loss.forms import Form
from bakery.engine.loss.losses import Loss
from bakery.engine.loss.readout import Readout
from bakery.engine.teacher import teacher
from bakery.engine.teacher.examples import Features
from bakery.engine.teacher.scoring import beginning
from bakery.engine.teacher.teacher import Asked, LiveTeacher, TeacherRecord
from bakery.engine.text.views import Pair
from bakery.engine.workers import ALONE, Worker
from bakery.errors import StageError
from bakery.reporting import Reporter


@dataclass(frozen=True, slots=True)
class Place:
    """Where a record may lie, and how much it may take, in 10^9 bytes.

    `of` names the weights that speak: a record by the same ones is used again where it lies there
    already. Empty: none is.
    """

    path: Path
    most_gb: float
    of: str = ""

    def share(self, worker: Worker, rank: int) -> Path:
        """Return the file of one process."""
        return self.path if worker.count == 1 else self.path.with_suffix(f".{rank}.safetensors")


def taught(
    student: nn.Module,
    readout: Readout,
    pairs: Sequence[Pair],
    loss: Loss,
    place: Place,
    *,
    is_measured_on: bool = True,
    worker: Worker = ALONE,
    asked: Asked | None = None,
    reporter: Reporter,
) -> tuple[Features, str]:
    """Return what the teacher says of pairs, and why it is not kept whole; empty where it is.

    What is measured on has to have all that the teacher says: the card is of forward KL.
    """
    form: Form | None = readout.form(loss, teacher.whole(student, readout)[0])
    why, fresh = "", not (place.of and teacher.is_recorded(place.path, pairs, of=place.of))
    if worker.in_step:
        fresh = any(worker.gather([fresh]))
    if fresh:
        if worker.rank == 0 or not worker.in_step:
            teacher.forget(place.path)
        # The first process decides for all: free space changes while others write.
        form, why = worker.of_first(_chosen(student, readout, pairs, loss, place, is_measured_on))
    if form is None and worker.in_step:
        raise StageError(
            f"{why}, which cannot be done where the base is shared out: each process would ask it "
            "another number of times",
            hint="Make room on the disk, bake fewer or shorter answers, or leave --shard out.",
        )
    if form is None:
        return live(student, readout, pairs), why
    if worker.in_step:
        if fresh and worker.rank:
            teacher.beside(student, readout, pairs, asked=asked)
        elif fresh:
            teacher.record(
                student, readout, pairs, place.path,
                of=place.of, loss=loss, form=form, asked=asked, reporter=reporter,
            )  # fmt: skip
        worker.wait()
        return TeacherRecord([(place.path, pairs)], form), why
    shares = [(place.share(worker, r), pairs[r :: worker.count]) for r in range(worker.count)]
    path, own = shares[worker.rank]
    with worker.autocast():
        teacher.record(
            student, readout, own, path,
            of=place.of, loss=loss, form=form, asked=asked, reporter=reporter,
        )  # fmt: skip
    worker.wait()
    return TeacherRecord(shares, form), why


def live(student: nn.Module, readout: Readout, pairs: Sequence[Pair]) -> LiveTeacher:
    """Return a teacher that is run each time it is asked for what it says of some of the pairs."""
    return LiveTeacher(student, readout, [beginning(pair.teacher) for pair in pairs])


def _chosen(
    student: nn.Module,
    readout: Readout,
    pairs: Sequence[Pair],
    loss: Loss,
    place: Place,
    is_measured_on: bool,
) -> tuple[Form | None, str]:
    """Return the form of the record, None where none is made, and why it is not whole."""
    width, _ = teacher.whole(student, readout)

    def too_large(form: Form) -> str:
        size = teacher.size_of(student, readout, pairs, form, loss)
        return teacher.too_large(size, place.path.parent, place.most_gb)

    form, fewer = readout.form(loss, width), readout.form(loss, width, likeliest_only=True)
    why = too_large(form)
    if not why:
        return form, ""
    if is_measured_on or fewer is form or too_large(fewer):
        return None, f"{why}: it is run at every step"
    return fewer, f"{why}: only the tokens that {getattr(loss, 'kind', 'the loss')} reads are kept"
