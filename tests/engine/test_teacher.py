"""What the teacher says is recorded as a live teacher says it, or it is asked live."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AutoModelForCausalLM, LlamaConfig

from bakery.engine.loss.forms import Form
from bakery.engine.loss.losses import forward_kl
from bakery.engine.loss.readout import Readout
from bakery.engine.models import adapters
from bakery.engine.teacher import scoring, teacher
from bakery.engine.teacher.teacher import LiveTeacher, TeacherRecord, record, size_of, too_large
from bakery.engine.text.views import Pair, View
from bakery.errors import StageError
from bakery.reporting import Quiet
from bakery.stages import bake
from tests.support.baking import NOTHING, SHOUT, Bench, training
from tests.support.library import losses, said_by, trainer
from tests.support.models import make_model


def student(folder: Path, dtype: torch.dtype = torch.float32) -> PeftModel:
    """A model with an adapter that has learnt something, in training."""
    torch.manual_seed(1)
    model = peft.get_peft_model(
        AutoModelForCausalLM.from_pretrained(folder, dtype=dtype),
        peft.LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter)
    return model.train()


def pair(number: int, prefix: int = 9, answer: int = 5) -> Pair:
    """An answer of random ids behind a long prefix for the teacher and a short one."""
    drawn = torch.Generator().manual_seed(number)
    ids = torch.randint(3, 250, (prefix + answer,), generator=drawn).tolist()
    student_ids = (ids[0], *ids[prefix:])
    return Pair(
        f"p{number}",
        View(tuple(ids), ((prefix, prefix + answer),)),
        View(student_ids, ((1, 1 + answer),)),
    )


PAIRS = [pair(i, prefix=4 + i % 7, answer=1 + i % 5) for i in range(70)]


@pytest.fixture
def model(base: Path) -> PeftModel:
    return student(base)


def made(model: PeftModel, path: Path, pairs: Sequence[Pair] = PAIRS, of: str = "") -> Any:
    return record(model, Readout(model), pairs, path, of=of, reporter=Quiet())


@torch.no_grad()
def test_record_and_live_teacher_say_what_the_parent_says(
    model: PeftModel, base: Path, tmp_path: Path
) -> None:
    readout, recorded = Readout(model), made(model, tmp_path / "record")
    live = LiveTeacher(model, readout)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32).eval()
    for some in (PAIRS, PAIRS[::-3], PAIRS[5:6]):
        parents_NV = torch.cat(
            [plain(torch.tensor([p.teacher.ids])).logits[0, p.teacher.predicting] for p in some]
        )
        for features in (recorded.features_of_pairs(some), live.features_of_pairs(some)):
            logits_NV = readout.logits(features)
            torch.testing.assert_close(logits_NV, parents_NV, atol=1e-4, rtol=1e-4)
            assert forward_kl(logits_NV, parents_NV).mean() < 1e-6


def test_the_features_of_one_pair_are_found_by_its_key(model: PeftModel, tmp_path: Path) -> None:
    recorded = made(model, tmp_path / "record")
    whole = recorded.features_of_pairs(PAIRS).split([pair.num_targets for pair in PAIRS])
    for each, features in list(zip(PAIRS, whole, strict=True))[::9]:
        assert torch.equal(recorded.features_of_pairs([each]), features)
        assert len(recorded.features_of_pairs([each])) == each.num_targets


def test_a_batch_without_a_pair_has_features_too(model: PeftModel, tmp_path: Path) -> None:
    for taught in (made(model, tmp_path / "record"), LiveTeacher(model, Readout(model))):
        assert taught.features_of_pairs([]).shape == (0, 32)


def test_logits_are_recorded_where_the_head_is_not_exact(tmp_path: Path) -> None:
    config = {"vocab_size": 259, "hidden_size": 32, "intermediate_size": 64}
    heads = {"num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1}
    model = student(make_model(tmp_path / "model", LlamaConfig(**config, **heads)))
    readout = Readout(model)
    readout.exact = False
    assert size_of(model, readout, PAIRS, Form.WHOLE).width == 259
    recorded = record(model, readout, PAIRS, tmp_path / "a", of="", reporter=Quiet())
    live = LiveTeacher(model, readout)
    torch.testing.assert_close(
        recorded.features_of_pairs(PAIRS[:9]), live.features_of_pairs(PAIRS[:9])
    )


def state(model: PeftModel) -> list[Any]:
    """All that a pass of the teacher may not change."""
    return [
        [module.training for module in model.modules()],
        [parameter.requires_grad for parameter in model.parameters()],
        [getattr(m, "active_adapters", None) for m in model.modules()],
        [getattr(m, "disable_adapters", None) for m in model.modules()],
        torch.get_rng_state().tolist(),
    ]


@pytest.mark.parametrize("is_training", [True, False])
def test_a_live_teacher_leaves_the_model_as_it_was(model: PeftModel, is_training: bool) -> None:
    model.train(is_training)
    layers = model.get_base_model().model.layers
    layers[0].eval()
    next(p for p in layers[0].parameters() if p.requires_grad).requires_grad_(False)
    live = LiveTeacher(model, Readout(model))
    before = state(model)
    live.features_of_pairs(PAIRS)
    assert state(model) == before
    with adapters.parent_only(model):
        before = state(model)
        live.features_of_pairs(PAIRS)
        assert state(model) == before


def test_a_live_teacher_leaves_the_parent_of_a_chain_on(bench: Bench) -> None:
    first = bench.bake()
    base = bench.base()
    parent = adapters.attach_parent(base.model, first["folder"])
    model = adapters.attach_new(parent, training())
    live = LiveTeacher(model, Readout(model))
    before = state(model)
    with adapters.parent_only(model):
        inside = state(model)
        live.features_of_pairs(PAIRS)
        assert state(model) == inside != before
    assert state(model) == before


Features = Callable[..., Iterator[tuple[list[int], torch.Tensor]]]


def backwards(features_of: Features) -> Features:
    """Yield the same batches in another order, and their views, too."""

    def reordered(model: Any, readout: Any, views: Any, **more: Any) -> Any:
        for at, features in reversed(list(features_of(model, readout, views, **more))):
            parts = features.split([len(views[i].predicting) for i in at])
            yield at[::-1], torch.cat(parts[::-1])

    return reordered


def test_the_file_never_depends_on_the_order_of_the_batches(
    model: PeftModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(model, tmp_path / "a")
    live = LiveTeacher(model, Readout(model)).features_of_pairs(PAIRS)
    reordered = backwards(scoring.features_of)
    for module in (teacher, scoring):
        monkeypatch.setattr(module, "features_of", reordered)
    made(model, tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    again = LiveTeacher(model, Readout(model)).features_of_pairs(PAIRS)
    assert torch.equal(live, again)


def test_a_record_is_opened_again_and_not_made_again(model: PeftModel, tmp_path: Path) -> None:
    path = tmp_path / "record"
    made(model, path, of="weights")
    first = path.stat().st_ino
    made(model, path, of="weights")
    assert path.stat().st_ino == first


@pytest.mark.parametrize("change", ["weights", "pairs"])
def test_a_record_of_others_is_made_again(model: PeftModel, change: str, tmp_path: Path) -> None:
    path, pairs = tmp_path / "record", PAIRS
    made(model, path, of="weights")
    if change == "weights":
        with torch.no_grad():
            model.get_base_model().model.norm.weight.mul_(2)
    else:
        pairs = [pair(1000 + i) for i in range(5)]
    again = made(model, path, pairs, of="other" if change == "weights" else "weights")
    live = LiveTeacher(model, Readout(model)).features_of_pairs(pairs)
    torch.testing.assert_close(again.features_of_pairs(pairs), live)


def test_what_is_torn_is_never_taken_for_a_record(model: PeftModel, tmp_path: Path) -> None:
    path, whole = tmp_path / "new" / "record", tmp_path / "new" / "whole"
    made(model, whole)
    torn = whole.read_bytes()[:-1]
    path.with_name(".record.tmp").write_bytes(torn)  # a draft
    assert not teacher.is_recorded(path, PAIRS, of="")
    path.write_bytes(torn)  # a copy that stopped
    assert not teacher.is_recorded(path, PAIRS, of="")
    made(model, path)
    assert path.read_bytes() == whole.read_bytes()
    assert {p.name for p in path.parent.iterdir()} == {"record", "whole"}


def test_a_pass_that_stops_leaves_nothing(
    model: PeftModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    features_of, readout = scoring.features_of, Readout(model)

    def stopping(*given: Any, **more: Any) -> Any:
        yield next(features_of(*given, **more))
        if len(given[2]) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(teacher, "features_of", stopping)
    with pytest.raises(KeyboardInterrupt):
        record(model, readout, PAIRS, tmp_path / "new" / "a", of="", reporter=Quiet())
    assert list((tmp_path / "new").iterdir()) == []


def test_a_full_disk_is_an_error_and_leaves_nothing(model: PeftModel, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 14, hard))
    try:
        with pytest.raises(StageError, match="record of the teacher cannot be written") as refused:
            made(model, tmp_path / "new" / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert f"in {tmp_path / 'new'}: make room" in str(refused.value.hint)
    assert list((tmp_path / "new").iterdir()) == []


class Held(TorchDispatchMode):
    """Counts the bytes of the tensors that are alive while it is on, at their most."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0
        self._alive: weakref.WeakValueDictionary[int, torch.Tensor] = weakref.WeakValueDictionary()
        self._number = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in found if isinstance(found, tuple | list) else [found]:
            if isinstance(tensor, torch.Tensor):
                self._number += 1
                self._alive[self._number] = tensor
        storages = [tensor.untyped_storage() for tensor in self._alive.values()]
        sizes = {storage.data_ptr(): storage.nbytes() for storage in storages}
        self.most = max(self.most, sum(sizes.values()))
        return found


def in_batches_of_eight(features_of: Features) -> Features:
    """Yield batches that are all alike, so that more views are more of the same."""

    def batches(model: Any, readout: Any, views: Any, **_: Any) -> Any:
        for start in range(0, len(views), 8):
            for at, features in features_of(model, readout, views[start : start + 8]):
                yield [start + i for i in at], features

    return batches


def test_making_a_record_holds_one_batch_however_many_there_are(
    model: PeftModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(teacher, "features_of", in_batches_of_eight(scoring.features_of))
    most = []
    for count in (8, 16, 256):  # what is kept from the first use of a model comes with the first
        with Held() as held:
            made(model, tmp_path / str(count), [replace(pair(0), key=f"{i}") for i in range(count)])
        most.append(held.most)
    assert most[1] == most[2] > 0


def test_bfloat16_is_kept_bit_for_bit(base: Path, tmp_path: Path) -> None:
    model = student(base, torch.bfloat16)
    path, pairs = tmp_path / "record", PAIRS[:8]
    recorded = made(model, path, pairs)
    live = LiveTeacher(model, Readout(model)).features_of_pairs(pairs)
    assert recorded.features_of_pairs(pairs).dtype is live.dtype is torch.bfloat16
    assert torch.equal(recorded.features_of_pairs(pairs), live)
    assert torch.equal(load_file(path)["features"], live)


def test_shares_of_several_processes_are_one_record(model: PeftModel, tmp_path: Path) -> None:
    pairs, whole = PAIRS[:3], made(model, tmp_path / "whole", PAIRS[:3])
    shares = [(tmp_path / str(rank), pairs[rank::4]) for rank in range(4)]  # the last is empty
    for path, share in shares:
        made(model, path, share)
    together = TeacherRecord(shares)
    torch.testing.assert_close(together.features_of_pairs(pairs), whole.features_of_pairs(pairs))


# Windows forbids removing an open file: `forget` leaves it there.
@pytest.mark.skipif(os.name != "posix", reason="an open file keeps its name on Windows")
def test_a_record_is_read_after_its_name_is_gone(model: PeftModel, tmp_path: Path) -> None:
    recorded = made(model, tmp_path / "record")
    before = recorded.features_of_pairs(PAIRS)
    teacher.forget(tmp_path / "record")
    assert not (tmp_path / "record").exists()
    assert torch.equal(recorded.features_of_pairs(PAIRS), before)


def test_the_size_is_known_before_the_record_is_made(model: PeftModel, tmp_path: Path) -> None:
    size = size_of(model, Readout(model), PAIRS, Form.WHOLE)
    made(model, tmp_path / "record")
    assert size.gb * 1e9 == load_file(tmp_path / "record")["features"].nbytes
    assert size.positions == sum(p.num_targets for p in PAIRS)


def test_a_record_keeps_to_its_budget_and_to_half_of_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    free = shutil.disk_usage(tmp_path).free
    small, large = teacher.Size(10, 10, torch.float32), teacher.Size(free, 1, torch.bfloat16)
    assert too_large(small, folder, 1.0) == ""
    assert "would take 4e-07 GB, more than the 0 GB" in too_large(small, folder, 0.0)
    assert too_large(large, folder, 1e9).endswith(f"free in {tmp_path}")


PROMPTS = [{"prompt": f"q{i}?"} for i in range(8)]
CLOSED = [{"prompt": f"q{i}?", "response": f"Answer number {i}."} for i in range(8)]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("data", [PROMPTS, CLOSED], ids=["prompts", "pairs"])
def test_a_run_over_the_budget_trains_to_the_same_losses(
    data: Any, workers: int, base: Path, tmp_path: Path
) -> None:
    seen = []
    for limit in (16.0, 0.0):
        run = trainer(
            base,
            tmp_path / str(limit),
            data,
            evaluation=CLOSED[:3],
            eval_strategy="epoch",
            teacher_record_gb=limit,
            gradient_accumulation_steps=2,
            per_device_train_batch_size=2,
            dataloader_num_workers=workers,
        )
        before = run.fidelity(without_adapter=True)
        run.train()
        evaluated = [row["eval_loss"] for row in run.state.log_history if "eval_loss" in row]
        seen.append([*losses(run), *evaluated, before.kl, run.fidelity().kl])
        notes = [note for note in said_by(run) if "run at every step" in note]
        assert len(notes) == (0 if limit else 2)  # training rows and evaluation rows, once each
        assert not (tmp_path / str(limit) / ".teacher").exists()
    assert seen[1] == pytest.approx(seen[0], rel=1e-4)
    assert min(seen[0]) > 0


def test_a_bake_over_the_budget_is_the_same_and_says_so(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = bench.bake()
    monkeypatch.setattr(bake, "RECORD_GB", 0.0)
    live = Bench(tmp_path / "live", tmp_path / "model").bake()
    assert live["bake_id"] == recorded["bake_id"]
    for name in ("first", "last"):
        assert live["loss"][name] == pytest.approx(recorded["loss"][name], rel=1e-4)
    for name in ("kl_before", "kl_after"):
        assert live["card"][name] == pytest.approx(recorded["card"][name], rel=1e-3)
    (note,) = set(live["notes"]) - set(recorded["notes"])
    assert "it is run at every step" in note
    for result in (live, recorded):
        assert not (result["bake_dir"] / bake.RECORD).exists()


def test_a_bake_takes_the_record_that_is_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = bench.prepare(SHOUT, NOTHING, 12, None)
    monkeypatch.setattr(teacher, "forget", lambda _: None)  # a kill just before it is removed
    first = bench.bake()
    assert (prepared[2] / bake.RECORD).is_file()
    monkeypatch.setattr(bake, "RECORD_GB", 0.0)
    assert bench.bake()["notes"] == first["notes"]
