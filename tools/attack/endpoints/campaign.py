"""Every kind of misbehaviour, met by a run that asks for answers, or for questions.

A run ends, says why in a sentence, keeps no secret, and keeps no answer that the server did not
give. The same command then goes on at a server that is right: nothing is lost, nothing doubled.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.attack.endpoints.kinds import CODINGS, KINDS, Kind
from tools.attack.endpoints.server import Request, Server, completion, meant, send, serve
from tools.attack.mutations.judge import ended
from tools.attack.trial import Typed, bgit, deadline
from tools.attack.verdicts import Outcome
from tools.attack.workplace import Material, Restored, git

KEY = "sk-attack/Zq9+x%7=Kw"

PATIENCE_S = 1
"""Seconds that a server may say nothing: BGIT_TIMEOUT."""

MOST_WAIT_S = 90.0
"""Six tries of that, the pauses between them (15.5 s), and as much again for a busy machine."""

WAITING = 4
"""Processes for each that computes: most of them wait for their server."""

QUICK = frozenset({
    "answers:right", "questions:right", "answers:status-401", "questions:html", "answers:cut-json",
    "answers:body-null", "questions:body-deep", "answers:content-map", "answers:gzip-right",
    "answers:echo-plain-in-error", "answers:key-twice", "answers:two-choices",
})  # fmt: skip
"""Cases in which nothing is tried a second time."""

ANSWERED, WRITTEN = "answers", "questions"

WANTED, FEWER = 3, "wrote only"
"""Of rows; and what a run says that got other questions than it asked for, or the same again."""

INPUT = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "SHOUT!"
TARGET:
  name: asked
  max_tokens: 30
  max_concurrency: 3
  {more}
  generators:
    - {generator}
"""
OF = {
    ANSWERED: INPUT.format(
        more="model_name: served",
        generator='{type: hardcoded, questions: ["q0 what?", "q1 what?", "q2 what?"]}',
    ),
    WRITTEN: INPUT.format(
        more="model_name: base", generator="{type: oneshot_qs, model: served, numq: 3}"
    ),
}


def cases(count: int | None = None, *, only: Sequence[str] = ()) -> list[str]:
    """Return `answers:KIND` and `questions:KIND` for every kind; of a few, none has to wait."""
    sides = [f"{side}:{name}" for name in KINDS for side in OF]
    found = sides if count is None else sorted(sides, key=QUICK.__contains__, reverse=True)
    chosen = [case for case in found if not only or set(case.split(":")) & set(only)]
    return chosen[:count]


def prepare(material: Material, folder: Path) -> Callable[[str], Outcome]:
    """Return what tries one case, in a repository of its own."""
    copy = Restored(material.repository, folder / "asking")

    def trial(case: str) -> Outcome:
        side, _, name = case.partition(":")
        os.chdir(copy.root)
        try:
            return _tried(case, side, KINDS[name], copy.root)
        finally:
            os.chdir(folder)
            copy.restore()

    return trial


def _tried(case: str, side: str, kind: Kind, root: Path) -> Outcome:
    (root / "input.yml").write_text(OF[side], encoding="utf-8")
    git(root, "add", "input.yml")
    stages = ("stim", "rollout") if side == ANSWERED else ("stim",)
    with serve(kind.serve) as server, deadline(wait_s=MOST_WAIT_S):
        done = _asked(server, *stages)
    outcome = _judged(case, done, kind, server, root)
    if outcome.has_failed:
        return outcome
    kept = _rows(root, side)
    with serve(_rightly) as right, deadline(wait_s=MOST_WAIT_S):
        again = _asked(right, *stages)
    told = FEWER in done.said or FEWER in again.said
    return _went_on(outcome, again, kept, _rows(root, side), right, told)


def _rightly(request: Request, to: object) -> None:
    send(to, completion(meant(request)))  # type: ignore[arg-type]  # the socket that serve gives


def _asked(server: Server, *stages: str) -> Typed:
    os.environ.update(OPENAI_BASE_URL=server.url, OPENAI_API_KEY=KEY, BGIT_TIMEOUT=str(PATIENCE_S))
    return bgit("run", *stages)


def _judged(case: str, done: Typed, kind: Kind, server: Server, root: Path) -> Outcome:
    verdict, said = ended(done)
    if verdict in ("accepted", "refused"):
        if leak := _leak(done, root):
            return Outcome(case, "silently wrong", leak)
        if kind.right not in (verdict, "either"):
            return Outcome(case, "silently wrong", f"it was {verdict}: {said[-300:]}")
        if steering := [sign for sign in "\x1b\x9b\u202e\u2066\x07" if sign in done.said]:
            return Outcome(case, "silently wrong", f"{steering[0]!r} reaches the terminal")
        if len(done.err) > 20_000:
            return Outcome(case, "silently wrong", f"{len(done.err):,} characters of error")
        if side_of(case) == ANSWERED and (wrong := _other_text(kind, server, root)):
            return Outcome(case, "silently wrong", wrong)
    return Outcome(case, verdict, said)


def side_of(case: str) -> str:
    """Return whether a case asks for answers or for questions."""
    return case.partition(":")[0]


def _leak(done: Typed, root: Path) -> str:
    """Say where the key is shown or kept, in whatever way it is written."""
    kept = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    for name, coded in CODINGS.items():
        secret = coded(KEY)
        for form in (secret, json.dumps(secret)[1:-1]):
            if form in done.said:
                return f"the key is shown ({name})"
            for path in kept:
                if form.encode() in path.read_bytes():
                    return f"the key is kept in {path.relative_to(root)} ({name})"
    return ""


def _other_text(kind: Kind, server: Server, root: Path) -> str:
    """Say which answer is kept that the server did not give to its question."""
    right = {r.question: kind.text(r) if kind.text else None for r in server.requests}
    for row in _rows(root, ANSWERED):
        if row["finish"] in ("empty", "refusal", "refused"):
            continue  # kept as what nobody learns
        text = right.get(row["question"])
        if text != "*" and row["text"].strip() != (text or "").strip():
            return f"{row['question']!r} was answered with {row['text'][:80]!r}, not {text!r}"
    return ""


def _went_on(
    first: Outcome, again: Typed, kept: list[dict[str, str]], rows: list[dict[str, str]],
    right: Server, told: bool,
) -> Outcome:  # fmt: skip
    """Judge the same command at a server that is right; `told`: a run said that it has fewer."""
    verdict, said = ended(again)
    if verdict not in ("accepted", "refused"):
        return Outcome(first.case, verdict, f"the second time: {said}")
    if verdict == "refused":
        return Outcome(first.case, "lost", f"it does not go on at a good server: {said}")
    if any(row not in rows for row in kept):
        return Outcome(first.case, "lost", "what was there before is gone")
    names = [row["key"] for row in rows]
    if len(names) != len(set(names)):
        return Outcome(first.case, "doubled", f"some are there twice: {names}")
    if len(rows) < WANTED and not told:
        return Outcome(
            first.case, "lost", f"there are {len(rows)} rows, not {WANTED}, and no run said so"
        )
    if first.verdict == "accepted" and right.requests:
        return Outcome(first.case, "doubled", "what was complete was asked again")
    return first


def _rows(root: Path, side: str) -> list[dict[str, str]]:
    """Return what the store holds of this target, each with a key that no other may have."""
    command = ("rollout", "--json") if side == ANSWERED else ("stim", "--json")
    done = bgit(*command)
    if done.code or not done.out.strip():
        return []
    shown = json.loads(done.out)
    if side == WRITTEN:
        said = [(row["id"], row["messages"][-1]["content"]) for row in shown["stimuli"]]
        return [{"key": key, "text": text} for key, text in said]
    return [
        {"key": f"{row['question']}/{row['sample']}", "question": row["question"],
         "text": row["text"], "finish": row["finish"]}
        for row in shown["answers"]
    ]  # fmt: skip
