"""Writers that are tried first: which way they go, how large rounds are, and who is stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bakery.backends.base import Reply, Turn, Wish
from bakery.errors import GateError
from bakery.generators import oneshot, ways
from bakery.generators.sieve import tried
from bakery.generators.ways import Tried, Way
from bakery.identity import StimRequest
from bakery.records import Prompt, Stimulus, read_rows, user_text
from bakery.reporting import Quiet
from bakery.stages import stim, usable
from bakery.store import results
from tests.support.asked import BRINE, ScriptedVoice, ScriptedWriter, prompt

LIST = "\n".join(f"{i}. Is town{i} near village{i}?" for i in range(1, 7))


class Run:
    """Runs the second version of the stage in a folder, with a scripted writer."""

    def __init__(self, folder: Path, writer: Any, *generators: dict[str, Any]) -> None:
        self.folder, self.writer, self.quiet = folder, writer, Quiet()
        self.request = StimRequest(
            BRINE, generators, {"t.txt": "Ask ${numq} about ${prompt_u}"}, defaults=2
        )

    def __call__(self, *, allow_poor: bool = False) -> list[str]:
        stim.run(
            self.request,
            self.folder,
            open_writer=lambda _: (self.writer, None),
            reporter=self.quiet,
            allow_poor=allow_poor,
        )
        return [user_text(row.messages) for row in self.rows()]

    def rows(self) -> list[Stimulus]:
        return read_rows(self.folder / results.STIMULI, Stimulus)

    def rejected(self) -> list[stim.Rejected]:
        return read_rows(self.folder / results.REJECTED, stim.Rejected)

    def done(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / results.DONE).read_text())
        return found


def ask(numq: int, **more: Any) -> dict[str, Any]:
    return {"type": "oneshot_qs", "numq": numq, **more}


def numbered(turn: Turn) -> int:
    """Return a number that is another for each turn of a request."""
    source, number, i = map(int, turn.key.split("/")[-3:])
    return 10_000 * source + 100 * number + i


def asks(turn: Turn) -> str:
    return f"Is town{numbered(turn)} near village{numbered(turn)}?"


def one_in(many: int) -> Callable[[Turn], str]:
    """Ask a question one time in so many, and say nothing usable else."""
    return lambda turn: asks(turn) if numbered(turn) % many == 0 else "VB"


def test_a_model_that_writes_no_lists_speaks_as_the_user(tmp_path: Path) -> None:
    run = Run(tmp_path, ScriptedWriter(ScriptedVoice(asks)), ask(30))
    questions = run()
    assert len(questions) == len(set(questions)) == 30
    assert run.done()["origins"]["0"] == {
        "way": "user", "behind": True, "alone": True,
        "tried": {"lists": "0 of 1", "user": "8 of 8"},
    }  # fmt: skip
    assert run.quiet.notes[0].startswith("trying how scripted writes questions")
    assert run.quiet.notes[1].startswith("scripted speaks as the user: 0 of 1 messages of its")
    assert [row.writer for row in run.rows()].count(oneshot.OPENERS_WRITER) == 3


def test_a_model_that_writes_usable_lists_goes_on_with_lists(tmp_path: Path) -> None:
    def lists(key: str) -> str:
        start = 0 if key.endswith("try") else 6 * int(key.rsplit("/", 1)[1])
        return "\n".join(f"{i}. Is town{i} near village{i}?" for i in range(start, start + 6))

    writer = ScriptedWriter(ScriptedVoice(asks), lists)
    run = Run(tmp_path, writer, ask(16))
    assert len(run()) == 16
    assert run.done()["origins"]["0"]["way"] == "lists"
    assert not [row for row in run.rows() if row.writer == oneshot.OPENERS_WRITER]
    first, *later = writer.asked
    assert (first["wanted"], first["lists"], first["max_tokens"]) == (6, 2, ways.LIST_TOKENS)
    assert [round_["wanted"] for round_ in later] == [10, 4]
    assert oneshot.THERE_ALREADY in later[0]["instruction"]


@pytest.mark.parametrize(
    ("lists", "behind", "alone", "way"),
    [
        (Tried(4, 5), Tried(4, 4), Tried(4, 4), Way(lists=True)),
        (Tried(3, 3), Tried(4, 4), Tried(4, 4), Way(lists=False, behind=True, alone=True)),
        (Tried(6, 8), Tried(4, 4), Tried(4, 4), Way(lists=False, behind=True, alone=True)),
        (Tried(0, 9), Tried(0, 4), Tried(3, 4), Way(lists=False, behind=False, alone=True)),
        (Tried(0, 9), Tried(3, 4), Tried(0, 4), Way(lists=False, behind=True, alone=False)),
        (Tried(0, 9), Tried(0, 4), Tried(1, 4), Way(lists=False, behind=True, alone=True)),
        (Tried(0, 0), Tried(0, 0), Tried(0, 0), Way(lists=False, behind=False, alone=False)),
    ],
)
def test_the_way_follows_from_what_was_usable(
    lists: Tried, behind: Tried, alone: Tried, way: Way
) -> None:
    assert ways.chosen(lists, behind, alone) == way
    assert Way.kept(way.as_data()) == way
    assert Way.kept({}) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1. Who are you?\n2. What is salt?", Tried(2, 2)),
        ('["Who are you, sir?", "What is salt?"]', Tried(2, 2)),
        ("Sure:\n- What is pepper?\n- What is salt?", Tried(2, 2)),
        ("What is pepper?\nWhat is salt?\nWhat is thyme?", Tried(0, 3)),
        ("1. What is pepper? I like it.", Tried(0, 1)),
    ],
)
def test_lines_that_are_no_list_are_not_taken_for_one(text: str, found: Tried) -> None:
    assert tried([Reply(text, True)], Prompt(), are_lists=True) == found
    assert tried([Reply(text, True)], Prompt(), are_lists=True, loose=True).usable == found.of


def test_half_of_the_users_speak_behind_the_prompt_in_each_order_of_its_turns() -> None:
    found = ways.turns("k", 6, Way(lists=False, behind=True, alone=True), BRINE)
    asked = [[m["content"] for m in turn.behind.messages if m["role"] == "user"] for turn in found]
    one, two = "Who are you?", "What should I eat tonight?"
    assert asked == [[one, two], [], [two, one], [], [one, two], []]
    assert len({turn.key for turn in found}) == 6


@pytest.mark.parametrize(
    "teacher",
    [
        prompt("Only this."),
        Prompt(({"role": "user", "content": "From now on, rhyme."},)),
        Prompt(
            (
                {"role": "user", "content": "a"},
                {"role": "assistant", "content": "b"},
                {"role": "assistant", "content": "c"},
            )
        ),
    ],
)
def test_a_prompt_without_whole_example_turns_stays_as_it_is(teacher: Prompt) -> None:
    assert ways.scenes(teacher) == [teacher]


def test_behind_a_prompt_that_the_template_refuses_nobody_speaks(tmp_path: Path) -> None:
    voice = ScriptedVoice(asks, follows=False)
    run = Run(tmp_path, ScriptedWriter(voice), ask(20))
    run()
    assert {turn.behind for round_ in voice.rounds for turn in round_} == {Prompt()}
    assert any("takes no user behind this prompt" in note for note in run.quiet.notes)


def test_a_round_is_as_large_as_what_is_missing_by_the_rate_so_far(tmp_path: Path) -> None:
    voice = ScriptedVoice(lambda turn: "VB" if numbered(turn) % 3 == 0 else asks(turn))
    run = Run(tmp_path, ScriptedWriter(voice), ask(40))
    assert len(run()) == 40
    sizes = [len(round_) for round_ in voice.rounds]
    assert sizes[0] == ways.SPOKEN
    assert 40 < sizes[1] < 70
    assert sum(sizes) < 90


def test_where_three_are_missing_few_are_asked_for(tmp_path: Path) -> None:
    voice = ScriptedVoice(asks)
    Run(tmp_path, ScriptedWriter(voice), ask(3))()
    assert [len(round_) for round_ in voice.rounds] == [ways.SPOKEN]


def test_what_is_said_of_a_generator_is_honoured(tmp_path: Path) -> None:
    voice = ScriptedVoice(asks)
    Run(tmp_path / "a", ScriptedWriter(voice), ask(3, temperature=0.3, max_tokens=9))()
    assert voice.asked == [(0.3, 9)]
    voice = ScriptedVoice(asks)
    Run(tmp_path / "b", ScriptedWriter(voice), ask(3))()
    assert voice.asked == [(0.7, None)]


def test_what_a_user_says_that_is_no_message_is_left_out_with_its_reason(tmp_path: Path) -> None:
    said = {
        0: "VB", 1: Reply("How far is it", False), 2: Reply("What is blue of the wet?", True, -4.0),
        3: "Who is Bob Marley?", 4: "Who is Bob Marley?", 5: "who was Bob Marley, please?",
        6: "As an AI, I cannot.", 7: "Is Captain Brine here?",
    }  # fmt: skip
    run = Run(
        tmp_path, ScriptedWriter(ScriptedVoice(lambda t: said.get(numbered(t), asks(t)))), ask(9)
    )
    run()
    assert [r.reason for r in run.rejected() if r.round == 0] == [
        "too short", "cut off", "unlikely to its own writer", "duplicate", "nearly a duplicate",
        "assistant's words",
    ]  # fmt: skip


def test_what_is_over_is_not_held_against_the_writer(tmp_path: Path) -> None:
    run = Run(tmp_path, ScriptedWriter(ScriptedVoice(asks)), ask(3))
    run()
    assert [r.reason for r in run.rejected()] == ["not needed"] * 5
    assert run.done()["judged"]["0"]["usable"] == run.done()["judged"]["0"]["of"] == 8


def test_written_and_drawn_questions_come_before_a_model_is_asked(tmp_path: Path) -> None:
    first = asks(Turn("k/0/0/0", Prompt()))
    run = Run(
        tmp_path,
        ScriptedWriter(ScriptedVoice(asks)),
        ask(4),
        {"type": "hardcoded", "questions": [first, "Who goes there?"]},
        ask(3),
        {"type": "persona", "numq": 2, "seed": 1},
    )
    questions = run()
    assert [row.source for row in run.rows()] == [1, 1, 3, 3, 0, 0, 0, 0, 2, 2, 2]
    assert questions.count(first) == 1
    assert next(r.reason for r in run.rejected() if r.source == 0) == "duplicate"


def test_the_first_version_takes_generators_as_they_stand() -> None:
    generators = (ask(4), {"type": "hardcoded", "questions": ["a?"]})
    assert stim.order(StimRequest(BRINE, generators, {}, defaults=1)) == [0, 1]
    assert stim.order(StimRequest(BRINE, generators, {}, defaults=2)) == [1, 0]


def test_a_template_is_for_lists_and_where_it_is_not_read_that_is_said(tmp_path: Path) -> None:
    spoken = Run(tmp_path / "a", ScriptedWriter(ScriptedVoice(asks)), ask(3, template_path="t.txt"))
    spoken()
    assert "scripted writes questions by itself: template t.txt is not read" in spoken.quiet.notes
    writer = ScriptedWriter(ScriptedVoice(asks), lambda _: LIST)
    listed = Run(tmp_path / "b", writer, ask(6, template_path="t.txt"))
    listed()
    assert writer.asked[0]["instruction"].startswith("Ask 6 about")
    assert not any("is not read" in note for note in listed.quiet.notes)
    assert "judged" not in listed.done()  # who asks in own words may want what is refused


def test_an_endpoint_is_asked_for_lists_without_being_tried(tmp_path: Path) -> None:
    writer = ScriptedWriter(None, lambda _: f"{LIST}\n7. Salt")
    run = Run(tmp_path, writer, ask(7))
    assert len(run()) == 7  # as it stands: an endpoint's lists are not sifted by the judge
    assert [(asked["lists"], asked["temperature"]) for asked in writer.asked] == [(None, 1.0)]
    assert run.done()["judged"]["0"]["usable"] == 6


def test_the_embedded_model_is_not_tried_and_not_sifted(tmp_path: Path) -> None:
    voice = ScriptedVoice(lambda t: "Hi!" if numbered(t) == 3 else asks(t), is_trusted=True)
    writer = ScriptedWriter(voice)
    assert "Hi!" in Run(tmp_path, writer, ask(9))()
    assert writer.asked == []
    assert {turn.behind for turn in voice.rounds[0]} == {Prompt()}


def test_a_writer_that_runs_dry_is_given_up_and_what_there_is_is_kept(tmp_path: Path) -> None:
    voice = ScriptedVoice(lambda turn: asks(Turn("k/0/0/0", Prompt())))
    run = Run(tmp_path, ScriptedWriter(voice), ask(30))
    assert len(run()) == 4  # and the openers
    assert "wrote only 4 different questions of 30" in run.quiet.notes[-1]
    assert len(voice.rounds) < 6


@pytest.mark.parametrize("at", [2, 9, 14, 22, 30])
def test_a_run_killed_in_a_round_ends_as_if_it_had_not_been(tmp_path: Path, at: int) -> None:
    class KilledError(Exception):
        """What ends a run in the middle of it."""

    def run(folder: str) -> Run:
        voice = ScriptedVoice(one_in(2))
        return Run(tmp_path / folder, ScriptedWriter(voice), ask(30), ask(5))

    whole = run("whole")
    expected = whole()
    cut = run("cut")
    rows: list[bytes] = (whole.folder / results.STIMULI).read_bytes().splitlines(keepends=True)
    seen = 0

    class Stops(Quiet):
        def progress(self, label: str, done: int, total: int, detail: str = "") -> None:
            nonlocal seen
            if done >= at and not seen:
                seen = done
                raise KilledError

    cut.quiet = Stops()
    with pytest.raises(KilledError):
        cut()
    # The last round got as far as a torn line, and nobody kept that it is whole.
    there = (cut.folder / results.STIMULI).read_bytes().splitlines(keepends=True)
    (cut.folder / results.STIMULI).write_bytes(b"".join(there[:-2]) + there[-1][:9])
    beside = json.loads((cut.folder / results.BESIDE).read_text())
    last = max(json.loads(row)["round"] for row in there if json.loads(row)["source"] == 0)
    beside["rounds"]["0"] = max(last, 0)
    (cut.folder / results.BESIDE).write_text(json.dumps(beside))
    again = run("cut")
    assert again() == expected
    assert (again.folder / results.STIMULI).read_bytes() == b"".join(rows)
    assert again.rejected() == whole.rejected()
    assert again.done()["judged"] == whole.done()["judged"]


def test_what_was_tried_is_not_tried_again(tmp_path: Path) -> None:
    writer = ScriptedWriter(ScriptedVoice(asks))
    run = Run(tmp_path, writer, ask(9))
    origins = {"0": {"way": "user", "behind": True, "alone": True}}
    tmp_path.joinpath(results.BESIDE).write_text(json.dumps({"origins": origins}))
    run()
    assert writer.asked == []
    assert not any("trying how" in note for note in run.quiet.notes)


def test_where_most_replies_are_unusable_the_stage_stops_early_and_shows_some(
    tmp_path: Path,
) -> None:
    voice = ScriptedVoice(one_in(4))
    run = Run(tmp_path, ScriptedWriter(voice), ask(90))
    with pytest.raises(
        GateError, match=r"only \d+ of \d+ replies of scripted are messages"
    ) as told:
        run()
    assert told.value.exit_code == 6
    assert "bgit run --allow questions" in str(told.value.hint)
    shown = [
        note for note in run.quiet.notes if note.startswith(("usable: ", "not usable (too short)"))
    ]
    assert len(shown) == 6
    assert sum(map(len, voice.rounds)) < 120
    with pytest.raises(GateError):
        run()
    there = len(run.rows())
    assert len(run(allow_poor=True)) == 90
    assert run.rows()[:there]
    assert usable.poor(run.done()["judged"])


def test_stopped_or_not_what_is_allowed_gives_the_same_questions(tmp_path: Path) -> None:
    allowed = Run(tmp_path / "a", ScriptedWriter(ScriptedVoice(one_in(4))), ask(60))
    stopped = Run(tmp_path / "b", ScriptedWriter(ScriptedVoice(one_in(4))), ask(60))
    with pytest.raises(GateError):
        stopped()
    assert stopped(allow_poor=True) == allowed(allow_poor=True)


def test_duplicates_are_not_held_against_a_writer(tmp_path: Path) -> None:
    few = ScriptedVoice(lambda turn: asks(Turn(f"k/0/0/{numbered(turn) % 24}", Prompt())))
    run = Run(tmp_path, ScriptedWriter(few), ask(24))
    run()
    assert not usable.poor(run.done()["judged"])


def test_the_first_version_of_a_recorded_request_is_written_as_it_was(tmp_path: Path) -> None:
    class Former:
        name, speaks_as_user, longest_list, voice = "former", True, None, None

        def write(self, wish: Wish) -> list[Reply]:
            assert wish.lists is None
            return [Reply(text, True) for text in ("VB", "48", "place an")]

    request = StimRequest(BRINE, (ask(3, temperature=1.0),), {}, defaults=1)
    stim.run(request, tmp_path, open_writer=lambda _: (Former(), None), reporter=Quiet())  # type: ignore[arg-type, return-value]
    rows = read_rows(tmp_path / results.STIMULI, Stimulus)
    assert [user_text(row.messages) for row in rows] == ["VB", "48", "place an"]
    assert "judged" not in json.loads((tmp_path / results.DONE).read_text())
