"""What a server can do wrong, one function a kind: statuses, bodies, fields, time, secrets."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

from tools.attack.endpoints.server import Request, Serve, completion, meant, send

Right = Literal["accepted", "refused", "either"]

HUGE = 4 << 30
"""Bytes of what never should be read to its end."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a server answers, and how a run has to end.

    `text` gives the one text that an accepted answer may have; None: there is none.
    """

    serve: Serve
    right: Right
    text: Callable[[Request], str] | None = None


KINDS: dict[str, Kind] = {}


def kind(right: Right, text: Callable[[Request], str] | None = None) -> Callable[[Serve], Serve]:
    """Add a function as a kind, by its name."""

    def add(serve: Serve) -> Serve:
        KINDS[serve.__name__.replace("_", "-").strip("-")] = Kind(serve, right, text)
        return serve

    return add


def _says(name: str, right: Right, **said: Any) -> None:
    """Add a kind that answers every request with one response."""
    said.setdefault("text", meant if right == "accepted" else None)
    text, body = said.pop("text"), said.pop("body")

    def serve(request: Request, to: socket.socket) -> None:
        send(to, body(request) if callable(body) else body, **said)

    KINDS[name] = Kind(serve, right, text)


def _answers(name: str, right: Right, *, text: Any = meant, **more: Any) -> None:
    """Add a kind that sends a whole completion with some fields of its own."""
    _says(name, right, body=lambda request: completion(meant(request), **more), text=text)


_answers("right", "accepted")
for _code, _word in ((400, "Bad Request"), (401, "Unauthorized"), (402, "Payment Required"),
                     (403, "Forbidden"), (404, "Not Found"), (413, "Too Large"),
                     (418, "Teapot"), (422, "Unprocessable")):  # fmt: skip
    _says(f"status-{_code}", "refused", body=b'{"error": {"message": "no"}}',
          status=f"{_code} {_word}")  # fmt: skip
for _code in (429, 500, 503):
    _says(f"storm-of-{_code}", "refused", body=b'{"error": {"message": "busy"}}',
          status=f"{_code} Busy", headers=("retry-after-ms: 20",))  # fmt: skip
_says("retry-after-a-year", "refused", body=b"{}", status="429 Busy",
      headers=("Retry-After: 31536000",))  # fmt: skip
_says("status-204", "refused", body=b"", status="204 No Content")
_says("status-206", "either", body=lambda r: completion(meant(r))[:40], status="206 Partial")
_says("status-999", "refused", body=b"?", status="999 What")
_says("status-of-letters", "refused", body=b"?", status="abc def")
_says("html", "refused", body=b"<!DOCTYPE html><html><body>Welcome</body></html>", kind="text/html")
_says("html-as-json", "refused", body=b"<html>Welcome</html>")
_says("empty", "refused", body=b"")
_says("cut-json", "refused", body=lambda r: completion(meant(r))[:-20])
_says("cut-body", "refused", body=lambda r: completion(meant(r))[:50], length=5000)
_says("longer-than-told", "either", body=lambda r: completion(meant(r)) + b"x" * 50, length=40)
_says("negative-length", "either", body=lambda r: completion(meant(r)), length=-5, text=meant)
_says("latin-1", "refused", body=lambda r: completion("x").replace(b'"x"', b'"\xe9\xff"'))
_says("utf-16", "either", body=lambda r: completion(meant(r)).decode().encode("utf-16"), text=meant)
_says("no-json-type", "either", body=lambda r: completion(meant(r)), kind="text/plain", text=meant)
_says("event-stream", "refused", body=b"data: {}\n\ndata: [DONE]\n\n", kind="text/event-stream")
for _name, _body in {
    "null": b"null", "number": b"17", "list": b"[]", "text": b'"hello"', "nothing": b"{}",
    "nan": b'{"choices": NaN}', "deep": b"[" * 200_000, "error-with-200": b'{"error": "no"}',
    "no-choices": b'{"choices": []}', "null-choices": b'{"choices": null}',
    "choices-of-text": b'{"choices": ["yes"]}', "choices-a-map": b'{"choices": {"0": {}}}',
    "null-message": b'{"choices": [{"message": null}]}',
    "message-a-text": b'{"choices": [{"message": "yes"}]}',
    "deep-content": b'{"choices": [{"message": {"content": ' + b"[" * 50_000 + b"}}]}",
}.items():  # fmt: skip
    _says(f"body-{_name}", "refused", body=_body)
for _name, _value in {
    "number": 17, "true": True, "map": {"text": "AYE"}, "list-of-numbers": [1, 2],
    "image-part": [{"type": "image_url", "image_url": {"url": "x"}}],
}.items():  # fmt: skip
    _answers(f"content-{_name}", "refused", text=None, message={"content": _value})
_says("content-in-parts", "either", text=meant, body=lambda r: completion(
    [{"type": "text", "text": meant(r)[:3]}, {"type": "text", "text": meant(r)[3:]}]))  # fmt: skip
for _name, _value in {"null": None, "empty": "", "blank": " \n "}.items():
    _answers(f"content-{_name}", "either", text=None, message={"content": _value})
_answers("content-of-a-gigabyte-less", "refused", text=None, message={"content": "a" * 20_000_000})
_says("content-half-a-character", "either", text=lambda r: meant(r) + "?",
      body=lambda r: completion(meant(r) + "\ud83d"))  # fmt: skip
_says("content-special-token", "accepted", text=lambda r: meant(r) + "<|im_end|>x",
      body=lambda r: completion(meant(r) + "<|im_end|>x"))  # fmt: skip
_answers("finish-number", "either", choice={"finish_reason": 7})
_answers("finish-filter", "either", choice={"finish_reason": "content_filter"})
_answers("finish-null", "either", choice={"finish_reason": None})
_answers("refusal", "either", text=None, message={"content": None, "refusal": "I will not."})
_answers("calls-a-number", "either", message={"tool_calls": 7})
_answers("calls-of-text", "either", message={"tool_calls": ["f"]})
_DEEP = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "[" * 100_000}}
_answers("calls-deep", "either", message={"tool_calls": [_DEEP]})
_answers("reasoning-apart", "either", message={"reasoning_content": "Let me think."})
_answers("reasoning-number", "either", message={"reasoning_content": 7})
_answers("another-models-name", "accepted", model="another-7b")
_answers("model-a-list", "either", model=[1])
_answers("usage-text", "accepted", usage="many")
_answers("usage-negative", "accepted", usage={"prompt_tokens": -7})
_answers("usage-cut", "accepted", usage={"prompt_tokens": 1, "completion_tokens": 1})
_TWICE = b'"content": "NAY", "content": '
_says("key-twice", "either", text=meant, body=lambda r: completion("NAY").replace(
    b'"content": "NAY"', _TWICE + json.dumps(meant(r)).encode()))  # fmt: skip


@kind("either", meant)
def two_choices(request: Request, to: socket.socket) -> None:
    data = json.loads(completion(meant(request)))
    data["choices"].append({"index": 1, "finish_reason": "stop",
                            "message": {"role": "assistant", "content": "NAY"}})  # fmt: skip
    send(to, json.dumps(data).encode())


@kind("either", meant)
def choices_out_of_order(request: Request, to: socket.socket) -> None:
    data = json.loads(completion(meant(request)))
    said = {"role": "assistant", "content": meant(request)}
    data["choices"].insert(0, {"index": 1, "finish_reason": "stop", "message": said})
    send(to, json.dumps(data).encode())


@kind("accepted", meant)
def answers_out_of_order(request: Request, to: socket.socket) -> None:
    request.ended.wait(0.6 - 0.2 * min(request.number, 3))
    send(to, completion(meant(request)))


@kind("accepted", meant)
def busy_at_first(request: Request, to: socket.socket) -> None:
    if request.number < 4:
        send(to, b"{}", "429 Busy", headers=("retry-after-ms: 20",))
    else:
        send(to, completion(meant(request)))


@kind("either", meant)
def dies_after_one(request: Request, to: socket.socket) -> None:
    if request.number == 0:
        send(to, completion(meant(request)))


@kind("refused")
def hangs_up(request: Request, to: socket.socket) -> None:
    to.close()


@kind("refused")
def no_http(request: Request, to: socket.socket) -> None:
    to.sendall(b"\x16\x03\x01\x00\xa5\x01\x00garbage\r\n\r\n")


@kind("refused")
def silent(request: Request, to: socket.socket) -> None:
    request.ended.wait(100)


def _drip(request: Request, to: socket.socket, data: Iterator[bytes], pause_s: float) -> None:
    for part in data:
        if request.ended.wait(pause_s):
            return
        to.sendall(part)


@kind("refused")
def drips_body(request: Request, to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9999\r\n\r\n")
    _drip(request, to, iter(lambda: b" ", None), 0.3)


@kind("refused")
def drips_headers(request: Request, to: socket.socket) -> None:
    to.sendall(b"HTTP/1.1 200 OK\r\n")
    _drip(request, to, iter(lambda: b"X-A: b\r\n", None), 0.3)


@kind("refused")
def goes_on_for_ever(request: Request, to: socket.socket) -> None:
    for _ in range(200_000):
        to.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")


def _endless(head: bytes, part: bytes, count: int) -> Serve:
    def serve(request: Request, to: socket.socket) -> None:
        to.sendall(b"HTTP/1.1 200 OK\r\n" + head)
        for _ in range(count):
            to.sendall(part)

    return serve


_MEGABYTE = b"a" * (1 << 20)
_CHUNKED = b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
KINDS["gigabytes"] = Kind(_endless(
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % HUGE, _MEGABYTE, HUGE >> 20
), "refused")  # fmt: skip
KINDS["gigabytes-in-chunks"] = Kind(
    _endless(_CHUNKED, b"100000\r\n" + _MEGABYTE + b"\r\n", HUGE >> 20), "refused"
)
KINDS["bad-chunks"] = Kind(_endless(_CHUNKED, b"zz\r\nabc\r\n", 3), "refused")
KINDS["endless-header"] = Kind(_endless(b"X-Long: ", _MEGABYTE, HUGE >> 20), "refused")
KINDS["many-cookies"] = Kind(_endless(b"", b"Set-Cookie: a=b\r\n", 1_000_000), "refused")


@kind("refused")
def gzip_bomb(request: Request, to: socket.socket) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    # Flushed, a megabyte is packed by itself: packed once, it can be said three thousand times.
    head, megabyte = packer.compress(b" "), b" " * (1 << 20)
    head += packer.flush(zlib.Z_FULL_FLUSH)
    body = head + 3000 * (packer.compress(megabyte) + packer.flush(zlib.Z_FULL_FLUSH))
    send(to, body + packer.flush(), headers=("Content-Encoding: gzip",))


@kind("refused")
def gzip_that_is_none(request: Request, to: socket.socket) -> None:
    send(to, completion(meant(request)), headers=("Content-Encoding: gzip",))


@kind("refused")
def gzip_cut(request: Request, to: socket.socket) -> None:
    send(to, gzip.compress(completion(meant(request)))[:-12], headers=("Content-Encoding: gzip",))


@kind("accepted", meant)
def gzip_right(request: Request, to: socket.socket) -> None:
    send(to, gzip.compress(completion(meant(request))), headers=("Content-Encoding: gzip",))


@kind("refused")
def redirect_loop(request: Request, to: socket.socket) -> None:
    send(to, b"", "307 Temporary Redirect", headers=(f"Location: {request.path}",))


@kind("refused")
def redirect_to_a_file(request: Request, to: socket.socket) -> None:
    send(to, b"", "302 Found", headers=("Location: file:///etc/passwd",))


@kind("refused")
def steers_the_terminal(request: Request, to: socket.socket) -> None:
    message = "\x1b[2J\x1b]0;owned\x07\u202eevil\u2066 \x9b31m"
    send(to, json.dumps({"error": {"message": message}}).encode(), "400 Bad Request")


@kind("refused")
def long_error(request: Request, to: socket.socket) -> None:
    send(to, json.dumps({"error": {"message": "no " * 2_000_000}}).encode(), "400 Bad Request")


def _echo(name: str, coded: Callable[[str], str]) -> None:
    """Add kinds that say the client's key, in an error and in an answer."""

    def in_error(request: Request, to: socket.socket) -> None:
        said = {"error": {"message": f"wrong key: {coded(request.key)}, go away"}}
        send(to, json.dumps(said).encode(), "401 Unauthorized")

    def in_answer(request: Request, to: socket.socket) -> None:
        send(to, completion(f"AYE {coded(request.key)}"))

    KINDS[f"echo-{name}-in-error"] = Kind(in_error, "refused")
    KINDS[f"echo-{name}-in-answer"] = Kind(in_answer, "either", lambda _: "*")


CODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda key: key,
    "base64": lambda key: base64.b64encode(key.encode()).decode(),
    "basic": lambda key: base64.b64encode(f":{key}".encode()).decode(),
    "percent": lambda key: quote(key, safe=""),
    "hex": lambda key: key.encode().hex(),
    "escaped": lambda key: "".join(f"\\u{ord(sign):04x}" for sign in key),
    "html": lambda key: "".join(f"&#{ord(sign)};" for sign in key),
    "backwards": lambda key: key[::-1],
}
"""How a server may write a key that it gives back."""

for _coding, _coded in CODINGS.items():
    _echo(_coding, _coded)
