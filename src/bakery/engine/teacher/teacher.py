"""The teacher: what the frozen parent says at every target position.

It is recorded once, in a file, and read again at every step. Kept are not logits but features
(hidden states where the head gives them back exactly, see `readout`), or all that the loss needs
of them (see `moments`): D numbers a token instead of |V|. Where the file would be too large, the
parent is run at every step instead.
Shapes: N target positions · D features.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from peft import PeftModel
from safetensors import SafetensorError
from torch import nn

from bakery.engine.loss import likeliest
from bakery.engine.loss.forms import Form
from bakery.engine.loss.losses import Loss
from bakery.engine.loss.readout import Readout
from bakery.engine.models.adapters import parent_only
from bakery.engine.modes import evaluating
from bakery.engine.packed.prefixes import Prefixes
from bakery.engine.sampling.sampling import Captured
from bakery.engine.teacher.examples import Features
from bakery.engine.teacher.scoring import Scored, features_of, in_order
from bakery.engine.teacher.tensor_file import Rows, written
from bakery.engine.text.views import Pair, View
from bakery.errors import StageError
from bakery.identity import digest
from bakery.reporting import Reporter

GB = 10**9


class TeacherRecord:
    """Features of many pairs in memory-mapped files, addressed by the pair's key.

    Several files, where several processes each made a share.
    """

    is_live = False

    def __init__(
        self, shares: Sequence[tuple[Path, Sequence[Pair]]], form: Form = Form.WHOLE
    ) -> None:
        self.form = form
        self._found: dict[str, tuple[Rows, int, int]] = {}
        for path, pairs in shares:
            self._rows = Rows(path)
            at = 0
            for pair in pairs:
                self._found[pair.key] = (self._rows, at, pair.num_targets)
                at += pair.num_targets

    def features_of_pairs(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """Return the features (N, D) of the targets of some pairs, in their order."""
        found = [self._found[pair.key] for pair in pairs]
        count = sum(num_targets for _, _, num_targets in found)
        read_ND = torch.empty(count, self._rows.width, dtype=self._rows.dtype)
        at = 0
        for rows, first, num_targets in found:
            rows.copy_to(read_ND[at : at + num_targets], first)
            at += num_targets
        return read_ND


class KeptTeacher:
    """The features of a few pairs in memory, when what gave them goes."""

    is_live = False

    def __init__(self, record: Features, pairs: Sequence[Pair]) -> None:
        self.form = record.form
        parts = record.features_of_pairs(pairs).split([pair.num_targets for pair in pairs])
        self._found = {pair.key: part for pair, part in zip(pairs, parts, strict=True)}

    def features_of_pairs(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """Return the features (N, D) of the targets of some pairs, in their order."""
        return torch.cat([self._found[pair.key] for pair in pairs])


class Extended:
    """A record, and beside it in memory what the parent says of a few pairs more, in its form.

    Shapes: N target positions · D features.
    """

    def __init__(
        self, record: Features, more: Sequence[Pair], model: nn.Module, readout: Readout, loss: Loss
    ) -> None:
        self._record, self.form, self.is_live = record, record.form, record.is_live
        self._found: dict[str, torch.Tensor] = {}
        for pair in () if record.is_live else more:
            whole = LiveTeacher(model, readout).features_of_pairs([pair])
            self._found[pair.key] = readout.kept(whole, loss, self.form).cpu()

    def features_of_pairs(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """Return the features (N, D) of the targets of some pairs, in their order."""
        if not pairs or not self._found:
            return self._record.features_of_pairs(pairs)
        parts = [self._found.get(pair.key) for pair in pairs]
        return torch.cat(
            [
                self._record.features_of_pairs([pair]) if part is None else part
                for pair, part in zip(pairs, parts, strict=True)
            ]
        )


class LiveTeacher:
    """The same features, by a pass of the parent each time they are asked for.

    `begins` are the ids before the first targets of all that will come: what they share is run
    once and kept. A pass takes the model's memory and time, so it is for the process that trains,
    and not for the workers of a data loader. The model is left as it was found.
    """

    is_live = True

    def __init__(
        self, model: nn.Module, readout: Readout, begins: Sequence[Sequence[int]] = ()
    ) -> None:
        self.form = readout.own_form
        self._model, self._readout = model, readout
        self._prefixes = Prefixes(begins)

    def features_of_pairs(self, pairs: Sequence[Pair]) -> torch.Tensor:
        """Return the features (N, D) of the targets of some pairs, in their order."""
        if not pairs:
            size = size_of(self._model, self._readout, (), self.form)
            return torch.zeros(0, size.width, dtype=size.dtype)
        views = [pair.teacher for pair in pairs]
        with teaching(self._model):
            return in_order(self._model, self._readout, views, prefixes=self._prefixes)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is left of a teacher's own answers: prefixes it was run over, and what its head read."""

    prefixes: Prefixes | None = None
    captured: Captured | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """Shape and type of the features of some pairs."""

    positions: int
    width: int
    dtype: torch.dtype

    @property
    def gb(self) -> float:
        """How much a record of them takes, in 10^9 bytes."""
        return self.positions * self.width * self.dtype.itemsize / GB


def size_of(
    model: nn.Module, readout: Readout, pairs: Sequence[Pair], form: Form, loss: Loss | None = None
) -> Size:
    """Return the size of what is kept of pairs in a form, for `loss`.

    From the counts of targets and one token.
    """
    width, dtype = whole(model, readout)
    if form is Form.MOMENTS:
        width, dtype = readout.moments_width, torch.float32
    elif form is Form.LIKELIEST:
        assert loss is not None  # which says how many
        width, dtype = likeliest.width(loss, width) or width, torch.float32
    return Size(sum(pair.num_targets for pair in pairs), width, dtype)


def whole(model: nn.Module, readout: Readout) -> tuple[int, torch.dtype]:
    """Return how many numbers all that a teacher says at a position is, and their type."""
    if readout.seen is None:
        with teaching(model):
            ((_, features),) = features_of(model, readout, [View((1, 1), ((1, 2),))])
        readout.seen = features.shape[-1], features.dtype
    return readout.seen


def too_large(size: Size, folder: Path, budget_gb: float) -> str:
    """Return why a record of a size is not made in a folder; empty where it is.

    It may take its budget, in 10^9 bytes, and never more than half of what is free on the disk.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free / GB
    if size.gb > budget_gb:
        over = f"more than the {budget_gb:.3g} GB it may take"
    elif size.gb > free / 2:
        over = f"more than half of the {free:.3g} GB that are free in {there}"
    else:
        return ""
    return f"a record of the teacher would take {size.gb:.3g} GB, {over}"


def record(
    model: nn.Module,
    readout: Readout,
    pairs: Sequence[Pair],
    path: Path,
    *,
    of: str,
    reporter: Reporter,
    loss: Loss | None = None,
    form: Form = Form.WHOLE,
    asked: Asked | None = None,
) -> TeacherRecord:
    """Open the record at `path`, or make it, by one pass of the parent over the teacher views.

    `of` identifies the weights: a record made for others, or for other pairs, is made again.
    `loss` is what will be computed from it, where the form is for one loss. `asked` is what is
    known from when the parent answered: those answers are not run again.
    Raises StageError where it cannot be written.
    """
    if not is_recorded(path, pairs, of=of):
        size = size_of(model, readout, pairs, form, loss)
        key = _key(pairs, of)
        scored = _scored(model, readout, pairs, asked or Asked())
        if loss is not None:
            scored = ((at, readout.kept(features, loss, form)) for at, features in scored)
        try:
            with teaching(model):
                _write(scored, pairs, path, size=size, key=key, reporter=reporter)
        except OSError as error:
            raise StageError(
                f"the record of the teacher cannot be written: {error}",
                hint=f"It takes {size.gb:.3g} GB in {path.parent}: make room there.",
            ) from error
    return TeacherRecord([(path, pairs)], form)


def beside(
    model: nn.Module, readout: Readout, pairs: Sequence[Pair], *, asked: Asked | None = None
) -> None:
    """Run what another process records, which has a part of the base alone."""
    with teaching(model):
        for _ in _scored(model, readout, pairs, asked or Asked()):
            pass


def is_recorded(path: Path, pairs: Sequence[Pair], *, of: str) -> bool:
    """Tell whether a whole record of these pairs by these weights lies at `path`."""
    try:
        return Rows(path).key == _key(pairs, of)
    except (OSError, SafetensorError):
        return False


def forget(path: Path) -> None:
    """Remove a record's file, which may be open; where that is forbidden (Windows) it stays."""
    with suppress(PermissionError):
        path.unlink(missing_ok=True)


@contextmanager
def teaching(model: nn.Module) -> Iterator[None]:
    """Make a student its own teacher: the parent alone. No dropout, of another model neither."""
    learnt = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        alone = parent_only(model) if isinstance(model, PeftModel) else nullcontext()
        with evaluating(model), alone:
            yield
    finally:
        for parameter, was_learnt in learnt:
            parameter.requires_grad_(was_learnt)


def _scored(
    model: nn.Module,
    readout: Readout,
    pairs: Sequence[Pair],
    asked: Asked,
) -> Iterator[Scored]:
    """Yield the features of pairs: what was captured as it is, the rest by running the parent."""
    rest, captured = [], asked.captured
    for i, pair in enumerate(pairs):
        known = captured.features(pair.key, pair.teacher.predicting) if captured else None
        if known is None:
            rest.append(i)
        else:
            yield [i], known
    views = [pairs[i].teacher for i in rest]
    for at, features in features_of(model, readout, views, prefixes=asked.prefixes):
        yield [rest[i] for i in at], features


def _write(
    scored: Iterator[Scored],
    pairs: Sequence[Pair],
    path: Path,
    *,
    size: Size,
    key: str,
    reporter: Reporter,
) -> None:
    """Write the features to the places of their pairs, as they come: in memory is one batch."""
    firsts, first = [], 0
    for pair in pairs:
        firsts.append(first)
        first += pair.num_targets
    done = 0
    reporter.progress("teacher", done, len(pairs))
    shape = (size.positions, size.width)
    with written(path, shape, size.dtype, key=key) as put:
        for at, features in scored:
            counts = [pairs[i].num_targets for i in at]
            for i, part in zip(at, features.cpu().split(counts), strict=True):
                put(firsts[i], part.to(size.dtype))  # autocast may have begun since the first
            done += len(at)
            reporter.progress("teacher", done, len(pairs))
        assert done == len(pairs)


def _key(pairs: Sequence[Pair], of: str) -> str:
    """Return what names a record: its weights, and every pair's key, ids and spans."""
    names = digest([of, [pair.key for pair in pairs]])
    sha = hashlib.sha256(names.encode())
    for pair in pairs:
        for numbers in (pair.teacher.ids, *pair.teacher.spans):
            sha.update(len(numbers).to_bytes(8, "little"))
            sha.update(np.asarray(numbers, dtype="<i8").tobytes())
        sha.update(b"/")
    return sha.hexdigest()
