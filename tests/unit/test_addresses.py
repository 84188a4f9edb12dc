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


ON_HUB = {
    "hf://ann/yoda": ("ann", "yoda", ""),
    "hf://ann/yoda/": ("ann", "yoda", ""),
    "hf://ann/Yoda_2.1-x@main": ("ann", "Yoda_2.1-x", "main"),
    "hf://ann/yoda@refs/pr/1": ("ann", "yoda", "refs/pr/1"),
    "hf://ann/yoda@0791b06809f82e116f9409101b2cd5d4010171f7": (
        "ann", "yoda", "0791b06809f82e116f9409101b2cd5d4010171f7",
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", ON_HUB)
def test_a_model_of_the_hub_is_owner_name_and_version(text):
    found = addresses.on_hub(text)
    assert (found.owner, found.name, found.revision) == ON_HUB[text]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("yoda", ""),
        ("hf://", ""),
        ("hf://yoda", ""),
        ("hf://../yoda", ""),
        ("hf://ann/../yoda", ""),
        ("hf://ann/..", ""),
        ("hf://ann/yo..da", ""),
        ("hf://ann/yo--da", ""),
        ("hf://ann/yoda.git", ""),
        ("hf://ann/yoda/model.safetensors", "hf://ann/yoda"),
        ("hf://models/ann/yoda", "hf://ann/yoda"),
        ("hf://datasets/ann/yoda", ""),
        ("hf://spaces/ann/yoda", ""),
        ("hf://ann:secret@host/yoda", ""),
        ("hf://token@ann/yoda", ""),
        ("hf://ann/yoda@", ""),
        ("hf://ann/yoda@../../x", ""),
        ("hf://ann/yoda@a b", ""),
        ("hf://ann/yoda?x=1", ""),
        ("hf://ann/yoda\x1b[31m", ""),
        ("hf://ann/" + "y" * 200, ""),
        ("https://huggingface.co/ann/yoda", "hf://ann/yoda"),
        ("https://huggingface.co/ann/yoda/tree/main", "hf://ann/yoda"),
        ("huggingface.co/ann/../x", ""),
    ],
)
def test_any_other_word_is_no_model_of_the_hub(text, meant):
    with pytest.raises(ConfigError, match="no model repository of the Hub") as refused:
        addresses.on_hub(text)
    assert "secret" not in str(refused.value)
    assert f"One is {meant or 'hf://owner/name'}, " in (refused.value.hint or "")


@pytest.mark.parametrize("text", ["base", "parent", "exp", "ann/demo/a_0123456789abcdef/2", "hf"])
def test_a_name_of_a_repository_is_no_place_on_the_hub(text):
    assert not addresses.is_on_hub(text)
