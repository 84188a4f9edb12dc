"""Which addresses a remote of weights may have; a stranger's .bread may hold any text."""

from __future__ import annotations

import pytest

from bakery.errors import ConfigError
from bakery.remotes import addresses

GOOD = {
    "file:///mnt/weights": "file:///mnt/weights",
    "file:///mnt/my weights/": "file:///mnt/my weights",
    "s3://models": "s3://models",
    "s3://models/yoda/": "s3://models/yoda",
    "gs://models/a/b": "gs://models/a/b",
    "hf://ann/yoda": "hf://ann/yoda",
    "hf://datasets/ann/yoda/weights": "hf://datasets/ann/yoda/weights",
}


@pytest.mark.parametrize("url", GOOD)
def test_an_address_is_kept_without_its_last_slash(url):
    assert addresses.checked(url) == GOOD[url]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "models",
        "http://example.org/weights",
        "memory://weights",
        "ssh://host/weights",
        "S3://models",
        "s3:models",
        "s3://",
        "s3:///models",
        "s3://key:secret@models/yoda",
        "s3://key@models",
        "s3://models?endpoint_url=http://evil.example",
        "s3://models/a#b",
        "s3://models/../other",
        "s3://models//a",
        "s3://models/*",
        "s3://mod els",
        "simplecache::s3://models",
        "file:///a::s3://models",
        "file://host/share",
        "file://relative",
        "file:///",
        "file:///a/../b",
        "file:///a\nPARENT_MODEL = x",
        "file:///a\x1b[31m",
        "file:///\ud800",
        " s3://models",
        "hf://ann",
        "hf://token@ann/yoda",
        "s3://" + "m" * 2000,
        "s3://[::1/models",
    ],
)
def test_what_is_more_than_a_place_is_refused(url):
    with pytest.raises(ConfigError, match="cannot be a remote of weights"):
        addresses.checked(url)


def test_a_password_is_not_repeated():
    with pytest.raises(ConfigError) as told:
        addresses.checked("s3://ann:hunter2secret@models")
    assert "hunter2secret" not in told.value.message + (told.value.hint or "")


def test_a_folder_that_is_typed_is_an_address(workplace, monkeypatch):
    monkeypatch.setenv("HOME", str(workplace))
    assert addresses.typed("../weights") == f"file://{workplace.parent}/weights"
    assert addresses.typed("~/weights") == f"file://{workplace}/weights"
    assert addresses.typed("/mnt/w/") == "file:///mnt/w"
    assert addresses.typed("s3://models") == "s3://models"
