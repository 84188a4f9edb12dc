"""Slices are held once, loaded when a row wants them, and leave by use but never under a row."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from bakery.engine.models.adapter_folder import CONFIG
from bakery.engine.sampling.sampling import SampleRequest
from bakery.engine.serving.asking import Ask, Failed, Mix
from bakery.engine.serving.slices import Shelf
from bakery.errors import ModelError
from bakery.identity import SamplingSettings
from tests.support.disagreeing import Alone, adapter
from tests.support.served import FIRST, MODELS, SECOND, World, finished, mix, opened

IDS = (9, 30, 77, 120, 5)
HOW = SamplingSettings(1, 10)


def test_bakes_of_a_chain_share_their_slices(served: World):
    shelf = Shelf(served.base(), most_bytes=1 << 30)
    keys = {name: shelf.of(folder) for name, folder in served.folders.items()}
    assert keys["third"][:2] == keys["second"]
    assert keys["second"][0] == keys["first"][0] == keys["beside"][0]
    assert len({key for every in keys.values() for key in every}) == 5
    assert shelf.size == 0


def test_equal_keys_of_other_bits_are_two_slices(served: World, tmp_path: Path):
    base = served.base()
    other = adapter(tmp_path / "other", base, [(FIRST, 3), (SECOND, 2)], seed=1)
    shelf, batch = opened(served)
    ours, theirs = shelf.of(served.folders["second"]), shelf.of(other)
    assert not set(ours) & set(theirs)
    assert [key.split("-")[0] for key in ours] == [key.split("-")[0] for key in theirs]
    for name, keys in (("ours", ours), ("theirs", theirs)):
        batch.join(Ask(name, IDS, HOW, Mix(tuple((key, 1.0) for key in keys))))
    found = finished(batch)
    for name, folder in (("ours", served.folders["second"]), ("theirs", other)):
        due = Alone(served.base(), folder).says(SampleRequest(name, IDS), HOW)
        assert tuple(t.id for t in found[name]) == due.ids


def test_slices_leave_by_use_and_come_back(served: World):
    shelf, _ = opened(served)
    shelf.take(shelf.of(served.folders["third"]), ())
    most = shelf.size  # of three slices, of five
    shelf, batch = opened(served, adapters=most)
    seen = set()
    for _ in range(2):
        for at, model in enumerate(MODELS):
            key = f"{at}"
            batch.join(Ask(key, IDS, HOW, mix(shelf, served, *model)))
            found = finished(batch)
            due = served.alone(model, SampleRequest(key, IDS), HOW)
            assert tuple(t.id for t in found[key]) == due.ids
            assert 0 < shelf.size <= most or at == 0
            seen.add(frozenset(k for k in mix(shelf, served, *model).keys if k in shelf))
    assert len(seen) > 4


def test_a_slice_that_a_row_uses_stays_and_others_wait(served: World):
    shelf, _ = opened(served)
    shelf.take(shelf.of(served.folders["third"]), ())
    shelf, batch = opened(served, adapters=shelf.size)
    for key, name in (("long", "third"), ("next", "apart")):
        batch.join(Ask(key, IDS, HOW, mix(shelf, served, name)))
    order = []
    while len(batch):
        order += [one.key for one in batch.step()]
        assert shelf.size <= shelf._most
    assert order == sorted(order)  # one after the other
    due = served.alone(("apart", 1.0), SampleRequest("next", IDS), HOW)
    assert order.count("next") == len(due.ids)


def test_what_never_fits_is_refused_when_it_joins(served: World):
    shelf, batch = opened(served, adapters=1000)
    with pytest.raises(ModelError, match="may take"):
        batch.join(Ask("row", IDS, HOW, mix(shelf, served, "first")))
    batch.join(Ask("base", IDS, HOW))
    assert len(finished(batch)["base"]) > 0


def test_an_adapter_that_changed_since_fails_its_row_alone(served: World, tmp_path: Path):
    base = served.base()
    folder = adapter(tmp_path / "it", base, [(FIRST, 3)])
    shelf, batch = opened(served)
    (key,) = shelf.of(folder)
    adapter(tmp_path / "new", base, [(FIRST, 3)], seed=4)
    for path in (tmp_path / "new").iterdir():
        path.replace(folder / path.name)
    batch.join(Ask("row", IDS, HOW, Mix(((key, 1.0),))))
    batch.join(Ask("base", IDS, HOW))
    told: list = []
    found = finished(batch, told)
    (failed,) = [one for one in told if isinstance(one, Failed)]
    assert failed.key == "row"
    assert "has changed" in str(failed.error)
    assert set(found) == {"base"}
    assert shelf.of(folder) != (key,)


def test_files_of_an_adapter_that_are_others_by_now_are_checked_anew(served: World, tmp_path: Path):
    shelf, folder = Shelf(served.base(), most_bytes=1 << 30), tmp_path / "copy"
    shutil.copytree(served.folders["second"], folder)
    assert shelf.of(folder) == shelf.of(served.folders["second"])
    (folder / "adapter_config.json").write_text("{")
    with pytest.raises(ModelError, match=r"adapter_config\.json"):
        shelf.of(folder)


def test_an_adapter_of_somebody_else_is_one_slice(served: World, tmp_path: Path):
    base = served.base()
    torch.manual_seed(3)
    config = LoraConfig(
        r=4, lora_alpha=12, target_modules=["q_proj", "down_proj"], use_rslora=True,
        rank_pattern={"down_proj": 2}, init_lora_weights=False, task_type="CAUSAL_LM",
    )  # fmt: skip
    get_peft_model(base.model, config).save_pretrained(tmp_path)
    shelf, batch = opened(served)
    (key,) = shelf.of(tmp_path)
    for strength in (1.0, 0.5):
        batch.join(Ask(f"{strength}", IDS, HOW, Mix(((key, strength),))))
    batch.join(Ask("beside", IDS, HOW, mix(shelf, served, "third")))
    found, theirs = finished(batch), Alone(served.base(), tmp_path)
    for strength in (1.0, 0.5):
        request = SampleRequest(f"{strength}", IDS)
        due = theirs.says(request, HOW, strength)
        assert tuple(t.id for t in found[request.key]) == due.ids
    assert len({tuple(t.id for t in tokens) for tokens in found.values()}) == 3


@pytest.mark.parametrize(("key", "value"), [("use_dora", True), ("bias", "all")])
def test_an_adapter_that_does_more_than_add_is_refused(served: World, tmp_path, key, value):
    base = served.base()
    config = LoraConfig(r=2, target_modules=["q_proj"], task_type="CAUSAL_LM")
    get_peft_model(base.model, config).save_pretrained(tmp_path)
    told = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps({**told, key: value}))
    with pytest.raises(ModelError, match=f"has {key}"):
        Shelf(base, most_bytes=1 << 30).of(tmp_path)


def test_an_adapter_of_another_base_fails_its_row(served: World, tmp_path: Path):
    base = served.base()
    layer = base.model.model.layers[0].self_attn
    layer.q_proj = nn.Linear(32, 64)
    folder = adapter(tmp_path / "it", base, [(FIRST, 3)])
    shelf, batch = opened(served)
    batch.join(Ask("row", IDS, HOW, Mix(tuple((key, 1.0) for key in shelf.of(folder)))))
    (failed,) = batch.step()
    assert isinstance(failed, Failed)
    assert "q_proj" in str(failed.error)


def test_slices_are_held_once_however_they_are_stacked(served: World):
    shelf, batch = opened(served)
    for name in ("third", "apart", "beside", "first"):
        batch.join(Ask(name, IDS, HOW, mix(shelf, served, name)))
        batch.step()
    stacks = {id(t.untyped_storage()): t for r in batch._mixer._readings if (t := r.a) is not None}
    assert stacks
    for key in batch._mixer.keys:
        for a, _ in shelf.held(key).factors.values():
            assert any(a.data_ptr() >= t.data_ptr() and a.data_ptr() < t.data_ptr() + t.nbytes
                       for t in stacks.values())  # fmt: skip
    finished(batch)
    batch.join(Ask("apart", IDS, HOW, mix(shelf, served, "apart")))
    batch.step()
    batch.step()
    assert batch._mixer.ranks == 5
    held = shelf.held(shelf.of(served.folders["first"])[0])
    for a, b in held.factors.values():
        assert a.untyped_storage().nbytes() == a.nbytes
        assert b.untyped_storage().nbytes() == b.nbytes


def test_what_is_read_ahead_is_what_a_row_takes_and_nothing_is_read_again(
    served: World, monkeypatch
):
    shelf, batch = opened(served)
    keys = shelf.ready(served.folders["third"])
    held = {key: shelf.held(key) for key in keys}
    monkeypatch.setattr(Shelf, "_loaded", None)  # it would be called for what is not there
    batch.join(Ask("row", IDS, HOW, Mix(tuple((key, 1.0) for key in keys))))
    assert (
        tuple(t.id for t in finished(batch)["row"])
        == served.alone(("third", 1.0), SampleRequest("row", IDS), HOW).ids
    )
    assert all(shelf.held(key) is one for key, one in held.items())


def test_reading_ahead_takes_no_more_room_and_nothing_from_a_row(served: World):
    shelf, _ = opened(served)
    shelf.take(shelf.of(served.folders["third"]), ())
    shelf, batch = opened(served, adapters=shelf.size)
    how = SamplingSettings(1, 40, temperature=0)
    batch.join(Ask("row", IDS, how, mix(shelf, served, "third")))
    told = batch.step()
    for name in ("apart", "beside"):
        shelf.ready(served.folders[name])
        assert shelf.size <= shelf._most
        assert all(key in shelf for key in shelf.of(served.folders["third"]))
    due = served.alone(("third", 1.0), SampleRequest("row", IDS), how)
    assert tuple(t.id for t in [*told, *finished(batch)["row"]]) == due.ids
    shelf.take((), ())
    assert set(shelf.ready(served.folders["apart"])) <= set(shelf._held)
    assert shelf.size <= shelf._most


def test_many_threads_read_a_slice_once(served: World):
    shelf, _ = opened(served)
    read, load = [], shelf._loaded

    def loaded(key):
        read.append(key)
        return load(key)

    shelf._loaded = loaded
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(shelf.ready, [served.folders["second"]] * 16))
    assert len(set(found)) == 1
    assert sorted(read) == sorted(found[0])
