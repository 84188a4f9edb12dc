"""Manifests of a remote: read back as they were written, and refused where a stranger's lie."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bakery.json_file import DamagedError
from bakery.remotes import manifests
from bakery.remotes.manifests import Entry, Manifest

A, B = "a" * 64, "b" * 64
PLACE = "models/0123456789abcdef/12.json"
WEIGHTS = "adapter_model.safetensors"


def whole(**changes: Any) -> dict[str, Any]:
    files = [
        {"path": WEIGHTS, "sha256": A, "size": 10},
        {"path": "probes.json", "sha256": B, "size": 3},
    ]
    said = {"schema": 1, "model": "ann/yoda/one_x/12", "digest": A, "files": files}
    return {**said, **changes}


def file(**changes: Any) -> list[dict[str, Any]]:
    return [{"path": WEIGHTS, "sha256": A, "size": 10, **changes}]


def test_a_manifest_is_read_as_it_was_written():
    one = Manifest(
        PLACE, "ann/yoda/one_x/12", A, (Entry(WEIGHTS, A, 10), Entry("asked.jsonl", B, 3))
    )
    assert manifests.parse(PLACE, one.text().encode()) == one
    assert one.bytes == 13
    assert one.files[1].object == f"objects/bb/{B}"


def test_questions_and_answers_have_manifests_of_their_own():
    place = manifests.rows_place("stimuli.jsonl", "0123456789abcdef")
    one = Manifest(
        place, "main_target", A, (Entry("stimuli.jsonl", A, 10), Entry("done.json", B, 3))
    )
    assert manifests.parse(place, one.text().encode()) == one


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (whole(schema=0), "schema"),
        (whole(schema=True), "schema"),
        (whole(schema=2), "newer bgit"),
        (whole(model=7), "whose"),
        (whole(model="a\nb"), "whose"),
        (whole(digest="A" * 64), "SHA-256"),
        (whole(digest=B), "not what its digest says"),
        (whole(files={}), "list of its files"),
        (whole(files=[]), "list of its files"),
        (whole(files=file() * 100), "list of its files"),
        (whole(files=["x"]), "no object"),
        (whole(files=file() * 2), "twice"),
        (whole(files=file(path="../../hooks/post-checkout")), "names a file"),
        (whole(files=file(path="/etc/passwd")), "names a file"),
        (whole(files=file(path="adapter_config.json")), "names a file"),
        (whole(files=file(path="done.json")), "names a file"),
        (whole(files=file(path=None)), "names a file"),
        (whole(files=file(sha256="../../x")), "SHA-256"),
        (whole(files=file(size=-1)), "size"),
        (whole(files=file(size=1 << 60)), "size"),
        (whole(files=file(size="10")), "size"),
        (whole(files=file(size=True)), "size"),
        ([], "not an object"),
    ],
)
def test_a_manifest_that_lies_is_refused(said, why):
    with pytest.raises(DamagedError, match=why):
        manifests.parse(PLACE, json.dumps(said).encode())


@pytest.mark.parametrize("data", [b"", b"\xff", b"[" * 10_000, b'{"schema": NaN}'])
def test_what_is_no_json_is_refused(data):
    with pytest.raises(DamagedError):
        manifests.parse(PLACE, data)


@pytest.mark.parametrize(
    "place",
    ["models/x/12.json", "models/0123456789abcdef/../12.json",
     "models/0123456789abcdef/12.json.tmp",
     "data/bake/0123456789abcdef.json", "objects/aa/" + A],
)  # fmt: skip
def test_a_manifest_lies_in_its_place_alone(place):
    assert not manifests.is_place(place)


def test_an_object_is_called_by_its_digest():
    assert manifests.digest_in(manifests.object_of(A)) == A
    assert manifests.digest_in(f"objects/ab/{A}") is None
    assert manifests.digest_in("objects/aa/x") is None
