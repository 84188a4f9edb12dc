"""The canonical form, digests, and what is part of an id."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import Any

import pytest

from bakery import identity
from bakery.identity import (
    BakeRequest,
    BaseModelId,
    RolloutRequest,
    Running,
    SamplingSettings,
    StimRequest,
)
from bakery.records import ModelRef, Prompt
from bakery.shaping import OnPolicySettings, TrainingSettings
from bakery.shares import TargetShare
from bakery.trackers import Wandb

YODA = Prompt(({"role": "system", "content": "You are Yoda."},))
PIRATE = Prompt(({"role": "system", "content": "You are a pirate."},))
BASE = BaseModelId("tiny-1", "", "ab" * 32)
PARENT = ModelRef("ada", "yoda", "first_0123456789abcdef", 120)
GENERATOR = {"type": "oneshot_qs", "numq": 10, "temperature": 1.0, "template_path": "t.txt"}

STIM = StimRequest(YODA, (GENERATOR,), {"t.txt": "${numq} ${prompt_u}"}, defaults=1)
ROLLOUT = RolloutRequest(STIM.id, YODA, SamplingSettings(4, 96), BASE, PARENT, defaults=1)
TRAINING = TrainingSettings(
    epochs=4, global_batch=16, learning_rate=1e-3, weight_decay=0.0, betas=(0.9, 0.999),
    scheduler="linear", warmup_ratio=0.05, max_grad_norm=1.0, seed=42, r=16, lora_alpha=32,
    lora_dropout=0.0, target_modules="all-linear",
)  # fmt: skip
SHARE = TargetShare("main_" + ROLLOUT.id, ROLLOUT.id, 1.0, YODA, Prompt())
BAKE = BakeRequest((SHARE,), TRAINING, BASE, PARENT, 16, defaults=1)


OWN = OnPolicySettings(40, "reverse_kl", 1e-4)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None]}, '{"a":[true,null],"b":1}'),
        (1.0, "1"),
        (1, "1"),
        (0.1, "0.1"),
        (1e-4, "0.0001"),
        (-0.0, "0"),
        ("ü\r\nx", '"ü\\nx"'),
        ((1, 2), "[1,2]"),
        (True, "true"),
    ],
)
def test_a_value_has_one_canonical_text(value, text):
    assert identity.canonical(value) == text


@pytest.mark.parametrize("value", [math.nan, math.inf, {"x": [math.nan]}])
def test_what_is_not_a_number_has_no_canonical_text(value):
    with pytest.raises(ValueError, match="Out of range float"):
        identity.canonical(value)


def test_a_digest_is_the_sha256_of_the_canonical_text():
    assert identity.digest({"a": 1}) == hashlib.sha256(b'{"a":1}').hexdigest()
    assert identity.short_id({"a": 1}) == identity.digest({"a": 1})[:16]


def test_a_file_digest_is_over_its_bytes(tmp_path):
    (tmp_path / "x").write_bytes(b"a\r\nb")
    assert identity.file_digest(tmp_path / "x") == hashlib.sha256(b"a\r\nb").hexdigest()


@pytest.mark.parametrize(
    "request_",
    [
        replace(STIM, teacher=PIRATE),
        replace(STIM, templates={"t.txt": "Other: ${numq} ${prompt_u}"}),
        replace(STIM, generators=({**GENERATOR, "numq": 11},)),
        replace(STIM, generators=({**GENERATOR, "temperature": 0.5},)),
        replace(STIM, generators=(GENERATOR, GENERATOR)),
        replace(ROLLOUT, stim_id="0" * 16),
        replace(ROLLOUT, sampling=SamplingSettings(5, 96)),
        replace(ROLLOUT, sampling=SamplingSettings(4, 97)),
        replace(ROLLOUT, sampling=SamplingSettings(4, 96, temperature=0.5)),
        replace(ROLLOUT, parent=None),
        replace(ROLLOUT, parent=replace(PARENT, bake="first_fedcba9876543210")),
        replace(ROLLOUT, parent=replace(PARENT, step=121)),
        replace(ROLLOUT, base=replace(BASE, digest="cd" * 32)),
        replace(BAKE, shares=(replace(SHARE, id="0" * 16),)),
        replace(BAKE, shares=(replace(SHARE, weight=0.5),)),
        replace(BAKE, shares=(replace(SHARE, student=PIRATE),)),
        replace(BAKE, training=replace(TRAINING, epochs=5)),
        replace(BAKE, training=replace(TRAINING, seed=43)),
        replace(BAKE, training=replace(TRAINING, r=32)),
        replace(BAKE, training=replace(TRAINING, on_policy=OWN)),
        replace(BAKE, training=replace(TRAINING, loss="jsd", beta=0.5)),
        replace(BAKE, training=replace(TRAINING, kl_temperature=2.0)),
        replace(BAKE, training=replace(TRAINING, max_length=4096)),
        replace(BAKE, training=replace(TRAINING, eval_share=0.0)),
        replace(BAKE, training=replace(TRAINING, data_seed=7)),
        replace(BAKE, training=replace(TRAINING, warmup_steps=0)),
        replace(BAKE, training=replace(TRAINING, optimizer="adamw_torch_fused")),
        replace(BAKE, training=replace(TRAINING, save_every_steps=(10,))),
        replace(BAKE, training=replace(TRAINING, save_every_epochs=(1,))),
        replace(BAKE, parent=None),
        replace(BAKE, base=replace(BASE, digest="cd" * 32)),
    ],
)
def test_what_shapes_the_result_changes_the_id(request_):
    original: Any = {StimRequest: STIM, RolloutRequest: ROLLOUT, BakeRequest: BAKE}[type(request_)]
    assert request_.id != original.id


@pytest.mark.parametrize(
    "request_",
    [
        replace(STIM, generators=({**GENERATOR, "template_path": "other.txt"},),
                templates={"other.txt": "${numq} ${prompt_u}"}),
        replace(STIM, generators=({**GENERATOR, "temperature": 1},)),
        replace(STIM, teacher=Prompt(({"content": "You are Yoda.", "role": "system"},))),
        replace(ROLLOUT, base=replace(BASE, name="other", revision="v2")),
        replace(ROLLOUT, parent=replace(PARENT, owner="bob", repo="else")),
        replace(ROLLOUT, parent=replace(PARENT, bake="renamed_0123456789abcdef")),
        replace(BAKE, micro_batch_size=4),
        replace(BAKE, running=Running("sdpa", True, 10, Wandb("mine", tags=("x",)))),
        replace(BAKE, training=replace(TRAINING, kl_temperature=1)),
        replace(BAKE, shares=(replace(SHARE, name="renamed_" + SHARE.id),)),
        replace(BAKE, base=replace(BASE, name="other")),
        replace(BAKE, parent=replace(PARENT, owner="bob", repo="else", bake="x_0123456789abcdef")),
    ],
)  # fmt: skip
def test_what_does_not_shape_the_result_keeps_the_id(request_):
    original: Any = {StimRequest: STIM, RolloutRequest: ROLLOUT, BakeRequest: BAKE}[type(request_)]
    assert request_.id == original.id


def test_a_new_version_of_the_template_gives_new_names(monkeypatch):
    old = STIM.id
    monkeypatch.setattr(identity, "QUESTION_TEMPLATE_VERSION", 2)
    assert STIM.id != old


@pytest.mark.parametrize("request_", [STIM, ROLLOUT, BAKE])
def test_each_version_of_the_defaults_gives_names_of_its_own(request_):
    ids = {replace(request_, defaults=version).id for version in (1, 2)}
    assert len(ids) == 2


def test_ids_are_sixteen_hex_digits_and_stay_what_they_are():
    assert [len(request.id) for request in (STIM, ROLLOUT, BAKE)] == [16, 16, 16]
    plain = StimRequest(YODA, ({"type": "hardcoded", "questions": ["Who?"]},), {}, defaults=1)
    assert plain.id == PLAIN_ID
    assert BAKE.id == BAKE_ID


# Over `questions: 1`, `defaults: 1` and the request above: changes only with one of the versions.
PLAIN_ID = "b7fc2167fb477563"

# Of a bake without anything that a later version can be asked for.
BAKE_ID = "0e1b4fe48d71be73"


@pytest.mark.parametrize("change", [{"steps": 41}, {"loss": "jsd"}, {"learning_rate": 2e-4}])
def test_what_shapes_the_second_phase_changes_the_id(change):
    one, other = (
        replace(BAKE, training=replace(TRAINING, on_policy=own))
        for own in (OWN, replace(OWN, **change))
    )
    assert one.id != other.id


@pytest.mark.parametrize(
    ("answers", "given", "batch", "epochs"),
    [
        (225, {}, 4, 2),
        (225, {"steps": 30}, 8, 2),  # 58 steps
        (480, {}, 16, 2),  # 60 steps
        (48, {}, 4, 3),
        (15, {}, 4, 8),
        (1, {}, 4, 30),
        (15, {"fewest_steps": 0}, 4, 2),  # epochs were asked for
        (15, {"global_batch": 15}, 15, 30),
        (0, {}, 4, 30),
    ],
)
def test_few_answers_are_learnt_more_often_until_there_are_thirty_steps(
    answers, given, batch, epochs
):
    asked = replace(TRAINING, **{"epochs": 2, "global_batch": None, "fewest_steps": 30} | given)
    found = asked.settled(answers)
    assert (found.global_batch, found.epochs) == (batch, epochs)
    assert found.settled(answers) == found
