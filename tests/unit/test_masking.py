"""Known secrets and whatever stands for them are masked, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from bakery import masking
from bakery.errors import ConfigError
from bakery.masking import MASK, masked
from bakery.records import Stimulus, append_rows, read_rows, write_atomic
from bakery.reporting import Quiet

PASSWORD = 'p@ss/w0rd"x'
KEY = "sk-proj-" + "".join(f"{number:03d}aB" for number in range(20))


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "HF_TOKEN", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(masking, "_known", set())
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://user:{quote(PASSWORD, safe='')}@host:1/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    return iter([None])


def _quoted(text: str) -> str:
    return quote(text, safe="")


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": _quoted,
    "percent, all of it": lambda text: "".join(f"%{ord(c):02x}" for c in text),
    "percent twice": lambda text: _quoted(_quoted(text)),
    "JSON": json.dumps,
    "JSON in JSON": lambda text: json.dumps(json.dumps(text)),
    "JSON, all of it": lambda text: "".join(f"\\u{ord(c):04x}" for c in text),
    "Python": repr,
    "HTML": html.escape,
    "HTML, numbers": lambda text: "".join(f"&#{ord(c)};" for c in text),
    "HTML, hex numbers": lambda text: "".join(f"&#x{ord(c):X};" for c in text),
    "HTML in JSON": lambda text: json.dumps(html.escape(text)),
    "hex": lambda text: text.encode().hex(),
    "reversed": lambda text: text[::-1],
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 of a login": lambda text: base64.b64encode(f"user:{text}".encode()).decode(),
    "base64 in the middle": lambda text: base64.b64encode(f"ab{text}, and".encode()).decode(),
    "base64 for addresses": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "base64 reversed": lambda text: base64.b64encode(text.encode()).decode()[::-1],
    "base64 in lines": lambda text: base64.encodebytes(text.encode() * 3).decode(),
    "lower case": str.lower,
    "a character a word": lambda text: " ".join(text),
}


def _leaks(text: str, secret: str) -> bool:
    """Whether five characters in a row are left of a secret or of its base64."""
    code = base64.b64encode(secret.encode()).decode().rstrip("=")[:-2]
    spellings = (secret, secret[::-1], code, code[::-1], secret.lower())
    return any(s[at : at + 5] in text for s in spellings for at in range(len(s) - 4))


@pytest.mark.parametrize("secret", [PASSWORD, KEY], ids=["password", "key"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_secret_is_masked_in_every_encoding(encoding: str, secret: str) -> None:
    told = f"before {ENCODINGS[encoding](secret)} after"
    found = masked(told)
    assert MASK in found
    assert (found[:7], found[-6:]) == ("before ", " after")
    assert not _leaks(found.replace(" ", ""), secret)


def test_what_is_cut_in_the_middle_of_a_secret_is_masked() -> None:
    assert masked(f"you sent {KEY[:30]}") == f"you sent {MASK}"
    assert masked(f"{KEY[40:]} is wrong") == f"{MASK} is wrong"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "p@ss",
        "nothing here",
        "100 % of \\ and &amp; stay",
        "sk-proj-",
        json.dumps({"a": "ü\n"}),
    ],
)
def test_other_text_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


def test_masked_json_is_json() -> None:
    said = masked(json.dumps({"error": {"message": f"no: {PASSWORD}", "code": 1}}))
    assert json.loads(said) == {"error": {"message": f"no: {MASK}", "code": 1}}


@pytest.mark.parametrize("key", ["none", "EMPTY", "ollama", "not-needed", ""])
def test_what_servers_take_for_a_key_is_no_secret(monkeypatch, key: str) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert masked(f"{key} of it") == f"{key} of it"


def test_a_password_that_is_a_word_is_masked_in_messages_and_not_in_data(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:orange@host/v1")
    assert masked("an orange") == f"an {MASK}"
    assert masked("an orange", data=True) == "an orange"


@pytest.mark.parametrize(
    ("password", "text"),
    [
        ("mypassword1", "My password is a password, and mypassword"),
        ("changeme-123", "changeme"),
        ("12345678", "[1, 23, 45, 678] and 0.12345678"),
        ("00000000", "[0, 0, 0, 0, 0, 0, 0, 0]"),
        ("201234567890", "2012345678901"),
    ],
)
def test_data_that_holds_a_part_of_a_password_or_its_digits_stays(monkeypatch, password, text):
    monkeypatch.setenv("DATABASE_PASSWORD", password)
    assert masked(text, data=True) == text
    if not password.isdecimal():
        assert masked(f"it is {password}!", data=True) == f"it is {MASK}!"


def test_what_an_address_asks_for_is_no_secret(monkeypatch) -> None:
    monkeypatch.setenv(
        "DATABASE_URL", "postgres://h/x?sslmode=verify-full&application_name=support-bot"
    )
    assert masked("support-bot, verify-full") == "support-bot, verify-full"
    monkeypatch.setenv("DATABASE_URL", "postgres://h/x?p=a1b2c3d4e5f6a7b8c9")
    assert masked("a1b2c3d4e5f6a7b8c9") == MASK


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "ANTHROPIC_BASE_URL", "HF_ENDPOINT"])
def test_the_password_of_every_address_is_known(monkeypatch, name: str) -> None:
    monkeypatch.setenv(name, "http://me:s3cret-of-it@host:80")
    assert masked("s3cret-of-it") == MASK


def test_values_of_a_query_are_secrets_and_a_version_is_none(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "http://h/v1?sig=abcd1234efgh&api-version=2024-02-01")
    assert masked("sig=abcd1234efgh, version 2024-02-01") == f"sig={MASK}, version 2024-02-01"


def test_errors_and_notes_tell_no_secret() -> None:
    error = ConfigError(f"no: {KEY}", hint=f"unset {PASSWORD}")
    assert (error.message, error.hint) == (f"no: {MASK}", f"unset {MASK}")
    assert str(error) == error.message
    assert error.__notes__ == [f"hint: unset {MASK}"]
    quiet = Quiet()
    quiet.note(f"asked with {KEY}")
    assert quiet.notes == [f"asked with {MASK}"]


def test_rows_and_files_hold_no_secret(tmp_path: Path) -> None:
    row = Stimulus("1", ({"role": "user", "content": f"is {PASSWORD} right?"},), "g", "w")
    append_rows(tmp_path / "rows.jsonl", [row])
    [read] = read_rows(tmp_path / "rows.jsonl", Stimulus)
    assert read.messages[0]["content"] == f"is {MASK} right?"
    write_atomic(tmp_path / "job.json", json.dumps({"error": PASSWORD}))
    assert json.loads((tmp_path / "job.json").read_text("utf-8")) == {"error": MASK}
