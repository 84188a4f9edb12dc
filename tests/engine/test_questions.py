"""Who writes the questions, what of their replies is one, and that asking again asks nothing.

By the first version of the defaults, which recorded bakes are made again by; `test_writing` has
what came with the second.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from bakery.backends import hosted
from bakery.backends.base import QuestionWriter, Reply, Wish
from bakery.backends.local import LocalModel
from bakery.backends.writers import InstructedWriter, UserTurnWriter
from bakery.errors import ConfigError, StageError
from bakery.generators import oneshot
from bakery.identity import StimRequest
from bakery.records import Stimulus, read_rows, user_text
from bakery.reporting import Quiet
from bakery.stages import stim
from bakery.store import results
from tests.support.baking import SHOUT, Bench
from tests.support.endpoint import serve


class Scripted:
    """A writer that replies from a list, round by round."""

    name, voice = "scripted", None

    def __init__(self, *rounds: list[Reply], speaks_as_user: bool = True) -> None:
        self.rounds = list(rounds)
        self.speaks_as_user = speaks_as_user
        self.longest_list = None
        self.asked: list[tuple[str, int]] = []

    def write(self, wish: Wish) -> list[Reply]:
        number = int(wish.key.rsplit("/", 1)[1])
        self.asked.append((wish.instruction, wish.wanted))
        return self.rounds[number] if number < len(self.rounds) else []


def ask(folder: Path, writer: QuestionWriter, numq: int, **generator: object) -> list[str]:
    made = {"type": "oneshot_qs", "numq": numq, "temperature": 1.0, **generator}
    request = StimRequest(SHOUT, (made,), {"t.txt": "Ask ${numq} about ${prompt_u}"}, defaults=1)
    stim.run(request, folder, open_writer=lambda _: (writer, None), reporter=Quiet())
    return [user_text(s.messages) for s in read_rows(folder / results.STIMULI, Stimulus)]


def said(*texts: str) -> list[Reply]:
    return [Reply(text, finished=True) for text in texts]


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("What is", finished=False), "cut off"),
        (Reply("You are a pirate.", finished=True), "instruction"),
        (Reply("Speak like a pirate!", finished=True), "instruction"),
        (Reply("what IS  salt?", finished=True), "duplicate"),
        (Reply("", finished=True), "not one message"),
        (Reply("one\ntwo", finished=True), "not one message"),
    ],
)
def test_what_is_no_question_is_left_out_with_its_reason(reply: Reply, reason: str) -> None:
    accepted, rejected = oneshot.sift([reply], {"what is salt?"}, list_like=False)
    assert (accepted, [why for _, why in rejected]) == ([], [reason])


@pytest.mark.parametrize("list_like", [True, False])
@pytest.mark.parametrize(
    "text",
    ["When is Easter?", "If it rains, what then?", "Factor 91.", "Useful herbs?", "Talking of tea"],
)
def test_a_question_may_begin_as_an_instruction_does(text: str, list_like: bool) -> None:
    assert oneshot.sift([Reply(text, finished=True)], set(), list_like=list_like) == ([text], [])


def test_in_a_list_what_ends_as_a_question_is_one() -> None:
    text = "When I sleep, what does my brain do?\nIf I ask twice, answer once.\nRemember Bach?"
    accepted, rejected = oneshot.sift([Reply(text, finished=True)], set(), list_like=True)
    assert accepted == ["When I sleep, what does my brain do?", "Remember Bach?"]
    assert rejected == [("If I ask twice, answer once.", "instruction")]


def test_half_a_character_in_json_can_be_written_down(tmp_path: Path) -> None:
    writer = Scripted(said('["a \\ud800?"]'), speaks_as_user=False)
    assert ask(tmp_path, writer, 1) == ["a ??"]


@pytest.mark.parametrize(
    "text", ["<think> a", '"a" or "b"', '["a?", "b?"]', "1. a?", "a\u2028b", "?!", "``` ", "[" * 9]
)
def test_what_is_said_as_a_user_stays_as_it_is(text: str) -> None:
    assert oneshot.sift(said(text), set(), list_like=False) == ([text], [])


def test_rounds_go_on_until_there_are_enough_different_questions(tmp_path: Path) -> None:
    writer = Scripted(said("a?", "b?"), said("b?", "c?"), said("d?"))
    assert ask(tmp_path, writer, 4) == ["a?", "b?", "c?", "d?"]
    assert [wanted for _, wanted in writer.asked] == [4, 2, 1]


def test_a_dry_writer_is_announced_and_what_there_is_is_kept(tmp_path: Path) -> None:
    assert ask(tmp_path, Scripted(said("a?", "a?")), 3) == ["a?"]
    told = "only 1 different questions of 3: the last rounds gave nothing new (1 duplicate)"
    assert told in (tmp_path / "done.json").read_text()


def test_a_writer_that_speaks_as_a_user_is_given_some_openers(tmp_path: Path) -> None:
    asked = ask(tmp_path, Scripted(*[said(*(f"{r}{i}?" for i in range(9))) for r in "abcdef"]), 50)
    rows = read_rows(tmp_path / results.STIMULI, Stimulus)
    assert asked[: len(oneshot.OPENERS)] == list(oneshot.OPENERS)
    assert len(asked) == 50
    assert {r.writer for r in rows if user_text(r.messages) in oneshot.OPENERS} == {"bakery"}


def test_who_wrote_in_place_of_whom_is_kept_with_the_questions(tmp_path: Path) -> None:
    made = {"type": "oneshot_qs", "numq": 1, "temperature": 1.0}
    request = StimRequest(SHOUT, (made,), {}, defaults=1)
    quiet = Quiet()
    stim.run(
        request,
        tmp_path,
        reporter=quiet,
        open_writer=lambda _: (Scripted(said("a?")), "no key: scripted writes them"),
    )
    assert "no key: scripted writes them" in (tmp_path / "done.json").read_text()
    assert quiet.notes == ["no key: scripted writes them"]


def test_what_was_said_before_an_interruption_is_kept_too(tmp_path: Path) -> None:
    made = {"type": "oneshot_qs", "numq": 1, "temperature": 1.0}
    missing = {"type": "from_dataset", "dataset": "q.txt", "seed": 1}
    request = StimRequest(SHOUT, (made, missing), {}, defaults=1)
    said = "no key: scripted writes them"

    def run(*rounds: list[Reply]) -> None:
        stim.run(
            request,
            tmp_path,
            reporter=Quiet(),
            open_writer=lambda _: (Scripted(*rounds), said),
        )

    for _ in range(2):
        with pytest.raises(StageError, match=r"q\.txt cannot be read"):
            run([Reply("a?", finished=True)])
    assert json.loads((tmp_path / results.BESIDE).read_text())["notes"] == {"0": [said]}


def test_the_seconds_of_a_stage_that_was_interrupted_are_added_up(tmp_path: Path) -> None:
    made = {"type": "oneshot_qs", "numq": 1, "temperature": 1.0}
    data = {"type": "from_dataset", "dataset": "q.txt", "seed": 1}
    digests = {"q.txt": hashlib.sha256(b"b?").hexdigest()}
    request = StimRequest(SHOUT, (made, data), {}, digests, defaults=1)
    folder, writer = tmp_path / "stim", Scripted(said("a?"))

    def run(**more: Any) -> None:
        stim.run(request, folder, open_writer=lambda _: (writer, None), reporter=Quiet(), **more)

    with pytest.raises(StageError, match=r"q\.txt cannot be read"):
        run()
    beside = folder / results.BESIDE
    kept = json.loads(beside.read_text())
    assert kept["seconds"] > 0
    beside.write_text(json.dumps(kept | {"seconds": 1000.0}))
    run(read={"q.txt": b"b?"}.__getitem__)
    assert json.loads((folder / results.DONE).read_text())["seconds"] >= 1000
    assert not beside.exists()


def test_no_question_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="no question was written"):
        ask(tmp_path, Scripted(), 3)


def test_running_again_asks_nothing(tmp_path: Path) -> None:
    ask(tmp_path, Scripted(said("a?", "b?")), 2)
    again = Scripted(said("x?"))
    assert ask(tmp_path, again, 2) == ["a?", "b?"]
    assert again.asked == []


def test_an_interrupted_stage_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    rounds = (said("a?", "b?"), said("a?", "c?"), said("d?"))
    whole = ask(tmp_path / "whole", Scripted(*rounds), 4)
    ask(tmp_path / "cut", Scripted(*rounds[:1]), 4)
    path = tmp_path / "cut" / results.STIMULI
    path.write_text(path.read_text() + '{"id": "to')  # a torn line
    assert ask(tmp_path / "cut", Scripted(*rounds), 4) == whole


def test_the_writer_and_its_round_are_in_each_row(tmp_path: Path) -> None:
    ask(tmp_path, Scripted(said("a?"), said("b?")), 2)
    rows = read_rows(tmp_path / results.STIMULI, Stimulus)
    assert [(r.writer, r.generator, r.round) for r in rows] == [
        ("scripted", "oneshot_qs", 0),
        ("scripted", "oneshot_qs", 1),
    ]


def test_a_users_template_is_what_is_asked(tmp_path: Path) -> None:
    writer = Scripted(said("1. a?\n2. b?"), speaks_as_user=False)
    ask(tmp_path, writer, 2, template_path="t.txt")
    assert writer.asked == [("Ask 2 about SHOUT!", 2)]


def test_a_hosted_model_is_asked_when_its_key_is_set(tmp_path: Path) -> None:
    with serve(["1. What is salt?\n2. Who are you?"]) as endpoint:
        environment = {"ANTHROPIC_API_KEY": "secret", "ANTHROPIC_BASE_URL": endpoint.url}
        writer = hosted.writer_for("claude-sonnet-4-5-20250929", environment)
        assert not isinstance(writer, str)
        assert ask(tmp_path / "s", writer, 2) == ["What is salt?", "Who are you?"]
    assert endpoint.requests[0]["model"] == "claude-sonnet-4-5-20250929"
    assert "SHOUT!" in endpoint.requests[0]["messages"][0]["content"]
    assert endpoint.keys == ["Bearer secret"]
    assert "secret" not in "".join(p.read_text() for p in (tmp_path / "s").iterdir())


def test_a_refused_key_is_an_error_and_not_a_fallback(tmp_path: Path) -> None:
    with serve(["x"], status=401) as endpoint:
        environment = {"OPENAI_API_KEY": "wrong", "OPENAI_BASE_URL": endpoint.url}
        writer = hosted.writer_for("gpt-5", environment)
        assert not isinstance(writer, str)
        with pytest.raises(StageError, match=r"OpenAI \(gpt-5\): .*invalid x-api-key"):
            ask(tmp_path, writer, 2)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("claude-sonnet-4-5-20250929", "no ANTHROPIC_API_KEY is set"),
        ("gpt-5", "no OPENAI_API_KEY is set"),
        ("my-server-model", "no OPENAI_BASE_URL is set for it"),
    ],
)
def test_without_a_key_the_reason_is_said(model: str, reason: str) -> None:
    assert hosted.writer_for(model, {}) == reason


@pytest.mark.parametrize(
    "url", ["nonsense", "http://", "ftp://x/y", "http://[::1/v1", "http://x:y"]
)
def test_an_address_that_is_none_is_said(url: str) -> None:
    assert (
        hosted.writer_for("m", {"OPENAI_BASE_URL": url})
        == f"OPENAI_BASE_URL is not an address: {url}"
    )


@pytest.mark.parametrize("key", ["schlüssel", "line\nbreak"])
def test_a_key_that_cannot_be_sent_is_said_but_not_shown(key: str) -> None:
    said = hosted.writer_for("gpt-5", {"OPENAI_API_KEY": key})
    assert said == "OPENAI_API_KEY holds a character that no key can have"


def test_a_server_of_ones_own_needs_no_key() -> None:
    writer = hosted.writer_for("my-model", {"OPENAI_BASE_URL": "http://127.0.0.1:1/v1"})
    assert isinstance(writer, hosted.HostedWriter)


def test_the_embedded_way_samples_user_turns_and_repeats_a_round_exactly(bench: Bench) -> None:
    writer = UserTurnWriter(LocalModel(bench.base()))
    first = writer.write(Wish("", "k/0", 5, 1.0))
    assert len(first) == 64
    assert writer.write(Wish("", "k/0", 9, 1.0)) == first
    assert writer.write(Wish("", "k/1", 5, 1.0)) != first


def test_other_bases_are_asked_by_instruction(bench: Bench) -> None:
    writer = InstructedWriter(LocalModel(bench.base()))
    replies = writer.write(Wish("Write 3 questions.", "k/0", 3, 1.0))
    assert len(replies) == 4


def test_a_list_that_does_not_fit_the_context_names_the_generators_own_limit(bench: Bench) -> None:
    writer = InstructedWriter(LocalModel(bench.base()))
    with pytest.raises(ConfigError, match="has a context of") as caught:
        writer.write(Wish("Write.", "k/0", 3, 1.0, max_tokens=1_000_000))
    assert "lower the generator's max_tokens" in str(caught.value.hint)
