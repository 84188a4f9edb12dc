"""A bucket as a remote of weights: moto's S3 on this machine, asked by the real s3fs."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bakery.identity import file_digest
from tests.e2e.conftest import Typist, copied
from tests.support.remotes import WEIGHTS, killed_at

moto = pytest.importorskip("moto.server", reason="the extra [moto] is not installed")
pytest.importorskip("s3fs")

SECRET = "hidden-secret-of-nobody-0123456789"
URL = "s3://models/yoda"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server that keeps buckets in memory."""
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def cloud(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The bucket, by a client of its own; commands find the server in their environment."""
    import boto3  # what moto brings

    for name, value in {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    for row in client.list_objects_v2(Bucket="models").get("Contents", ()):
        client.delete_object(Bucket="models", Key=row["Key"])
    return client


@pytest.fixture
def source(baked_repository: Typist, workplace: Path) -> Typist:
    made = copied(baked_repository, workplace / "source")
    made.git("init", "-q", "--bare", "-b", "main", str(workplace / "origin"))
    made.git("remote", "add", "origin", str(workplace / "origin"))
    made.must("weights", "remote", URL)
    return made


def keys(cloud: Any) -> dict[str, int]:
    rows = cloud.list_objects_v2(Bucket="models").get("Contents", ())
    return {row["Key"]: row["Size"] for row in rows}


def cloned(source: Typist, workplace: Path) -> Typist:
    source.git("clone", "-q", str(workplace / "origin"), str(workplace / "clone"))
    return Typist(workplace / "clone", source.env)


def test_two_clones_share_a_bucket(cloud: Any, source: Typist, workplace: Path) -> None:
    source.must("push", "-q", "-u", "origin", "main")
    before = keys(cloud)
    assert sum(key.startswith("yoda/models/") for key in before) == 2
    assert "0 bytes sent" in source.must("push")
    assert keys(cloud) == before
    clone = cloned(source, workplace)
    done = clone("chat", "-m", "Who?")
    assert done.code == 5
    assert f"`bgit weights remote {URL}` enables it in this clone" in done.err
    clone.must("weights", "remote", URL)
    assert clone("chat", "-m", "Who?").code == 0
    clone.must("pull", "--all-weights")
    paths = [sorted(one.store.glob(f"bake/*/*/{WEIGHTS}")) for one in (source, clone)]
    ours, theirs = ([file_digest(path) for path in some] for some in paths)
    assert ours == theirs
    assert json.loads(clone.must("fsck", "--remote", "--deep", "--json"))["is_sound"]
    assert SECRET not in done.out + done.err


def test_a_flipped_byte_in_a_bucket_is_refused_and_named(
    cloud: Any, source: Typist, workplace: Path
) -> None:
    source.must("push", "-q", "-u", "origin", "main")
    clone = cloned(source, workplace)
    clone.must("weights", "remote", URL)
    key, _ = max(keys(cloud).items(), key=lambda row: row[1])
    data = bytearray(cloud.get_object(Bucket="models", Key=key)["Body"].read())
    data[len(data) // 2] ^= 1
    cloud.put_object(Bucket="models", Key=key, Body=bytes(data))
    done = clone("pull", "--weights-only", "--all-weights")
    assert done.code == 5
    assert f"{URL}/{key.removeprefix('yoda/')}" in done.err
    assert not (clone.store / "bake").exists()
    assert clone("fsck", "--remote").code == 0
    assert clone("fsck", "--remote", "--deep").code == 1


def test_what_nothing_names_leaves_a_bucket(cloud: Any, source: Typist) -> None:
    source.must("push", "--weights-only")
    before = keys(cloud)
    cloud.put_object(Bucket="models", Key=f"yoda/objects/aa/{'a' * 64}", Body=b"spare")
    assert "1 more are not 14 days old" in source("gc", "--remote").err
    time.sleep(1.1)  # a bucket tells whole seconds
    source.must("gc", "--remote", "--grace", "0")
    assert keys(cloud) == before


def test_a_bucket_that_is_not_there_or_not_reached_is_told(
    cloud: Any, source: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:
    source.must("weights", "remote", "s3://nobodys")
    done = source("push", "--weights-only")
    assert done.code == 3
    assert "the remote of weights s3://nobodys cannot be" in done.err
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    done = source("pull", "--weights-only", "--all-weights")
    assert done.code == 0  # all is here: nothing is opened
    (path,) = source.store.glob(f"bake/*/2/{WEIGHTS}")
    path.unlink()
    done = source("pull", "--weights-only")
    assert done.code == 3
    assert "cannot be read" in done.err
    assert "AWS_ENDPOINT_URL" in done.err
    assert SECRET not in done.err
    assert time.monotonic() - began < 120


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 6, 12, 20])
def test_a_killed_push_to_a_bucket_is_gone_on_with(cloud: Any, source: Typist, number: int) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", **source.env}
    words = ["push", "--weights-only", "--data"]
    killed_at(number, str(source.store), words, cwd=source.root, env=env)
    source.must(*words)
    assert json.loads(source.must("fsck", "--remote", "--deep", "--json"))["is_sound"]
    assert "0 bytes sent" in source.must(*words)
