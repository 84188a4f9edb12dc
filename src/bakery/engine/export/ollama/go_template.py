"""The pieces of a chat template as a program in Go's text/template, which Ollama runs.

Whatever is written stands in it as a quoted text: blanks between the actions are all for people,
and are trimmed away.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from bakery.engine.export.ollama.pieces import Pieces


def write(pieces: Pieces, *, without: str = "") -> str:
    """Return the template; `without`: a beginning that Ollama writes by itself, as a token."""
    return "\n".join(["", *_lines(pieces, without), ""])


def _lines(pieces: Pieces, without: str) -> Iterator[str]:
    if pieces.system_in != "own turn":
        # Where the first of the user's turns is, or the last.
        found = "{{- $at = $i }}" if pieces.system_in == "last question" else (
            "{{- if lt $at 0 }}{{- $at = $i }}{{- end }}"
        )  # fmt: skip
        yield "{{- $at := -1 }}"
        yield (
            '{{- range $i, $m := .Messages }}{{- if eq $m.Role "user" }}'
            f"{found}{{{{- end }}}}{{{{- end }}}}"
        )
    with_system = pieces.head_with_system
    told = _system(pieces)
    if pieces.system_in == "own turn":
        begun = pieces.system_before.removeprefix(without)
        said = f"{_said(begun)}{{{{ .System }}}}{_said(pieces.system_after)}"
    else:
        said = _said(with_system.removeprefix(without))
    yield f"{{{{- if .System }}}}{said}"
    yield f"{{{{- else }}}}{_said(pieces.head.removeprefix(without))}"
    yield "{{- end }}"
    yield "{{- range $i, $m := .Messages }}"
    yield "{{- $last := eq (len (slice $.Messages $i)) 1 }}"
    inside = "" if pieces.system_in == "own turn" else (
        f"{{{{ if and $.System (eq $i $at) }}}}{told}{{{{ end }}}}"
    )  # fmt: skip
    yield (
        f'{{{{- if eq .Role "user" }}}}{_said(pieces.user_before)}{inside}{{{{ .Content }}}}'
        f"{_said(pieces.user_after)}{{{{ if $last }}}}{_said(pieces.header)}{{{{ end }}}}"
    )
    yield (
        f'{{{{- else if eq .Role "assistant" }}}}{_said(pieces.answer_before)}{{{{ .Content }}}}'
        f"{{{{ if not $last }}}}{_said(pieces.answer_after)}{{{{ end }}}}"
    )
    yield "{{- end }}"
    yield "{{- end -}}"


def _system(pieces: Pieces) -> str:
    return f"{_said(pieces.system_before)}{{{{ $.System }}}}{_said(pieces.system_after)}"


def _said(text: str) -> str:
    """Return an action that writes a text; Go reads the quoted texts of JSON."""
    return f"{{{{ {json.dumps(text, ensure_ascii=False)} }}}}" if text else ""
