"""tests.yml: what it says, what is refused with its place, and which commit's is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bakery.app import junit
from bakery.app.testing import Results
from bakery.errors import ConfigError
from bakery.repo.look import tests as look
from bakery.repo.model_repo import ModelRepo
from bakery.schema import tests
from bakery.schema.common import Section
from tests.support.commands import typed_here
from tests.support.recorded import git


def test_the_example_of_the_error_is_right() -> None:
    suite = tests.load(tests.EXAMPLE)
    assert [case.checks for case in suite.tests] == [("contains",), ("contains_any", "max_tokens")]
    assert suite.gate.keys == ()


def test_a_text_is_a_list_of_one() -> None:
    (case,) = tests.load("tests: [{question: Who?, contains: Pip, not_contains: [a, b]}]").tests
    assert (case.contains, case.not_contains) == (("Pip",), ("a", "b"))


def test_turns_end_with_the_question() -> None:
    text = "tests: [{messages: [{role: user, content: Hi}, {role: assistant}, %s], equals: a}]"
    (case,) = tests.load(text % "{role: user, content: Who?}").tests
    assert case.asked == "Who?"
    assert [turn.content for turn in case.turns] == ["Hi", None, "Who?"]
    with pytest.raises(ConfigError, match=r"tests.0.messages: the first and the last"):
        tests.load(text % "{role: user, content: a}, {role: assistant, content: b}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "1:1: expected `tests:`"),
        ("- a", "1:1: expected `tests:`"),
        ("test: []", "1:1: unknown key `test`: did you mean `tests`?"),
        ("tests: [{question: a, contain: b}]", "1:23: unknown key `tests.0.contain`: did you mean"),
        ("tests: [{question: a}]", "1:9: tests.0: a test needs something to check: contains,"),
        ("tests: [{equals: a}]", "tests.0: a test has either `question` or `messages`"),
        (
            "tests: [{question: a, messages: [{role: user, content: b}], equals: a}]",
            "either `question`",
        ),
        ("tests: [{question: a, regex: '('}]", "1:30: tests.0.regex: is no regular expression"),
        (
            "tests: [{question: a, equals: b}, {question: a, regex: 'a(?i)b'}]",
            "position 1: put (?i) first (got 'a(?i)b') (in test-2)",
        ),
        ("tests: [{name: kind, question: a, max_tokens: 0}]", "(got 0) (in kind)"),
        ("tests: [{question: a, json_schema: {typ: object}}]", "tests.0.json_schema: typ is not"),
        ("tests: [{question: a, language: german}]", "'german' is not known"),
        ("tests: [{question: a, max_tokens: 0}]", "tests.0.max_tokens"),
        ("tests: [{question: a, same_as_prompted: false}]", "tests.0.same_as_prompted"),
        ("tests: [{question: a, judge: {model: m}}]", "tests.0.judge.rubric"),
        ("tests: [{messages: [{role: user}], equals: a}]", "a user's turn needs `content`"),
        ("gate: {verdict: held}", "did you mean `holds`?"),
        ("gate: {tests: all}", "1:15: gate.tests: there are no `tests` to pass"),
        ("gate: {gap_closed: true}", "1:20: gate.gap_closed: expected a number (got True)"),
        ("tests: [{question: '  ', equals: a}]", "tests.0.question: holds nothing but blanks"),
        ("tests: [{question: a, contains: '  '}]", "tests.0.contains: holds nothing but blanks"),
        ("gate: {leakage: 0, canary: ' '}", "gate.canary: holds nothing but blanks"),
        ("gate: {gap_closed: 80}", "gate.gap_closed"),
        ("gate: {leakage: 0.2, canary: '—'}", "1:30: gate.canary: has no letter and no digit"),
        ("gate: {leakage: 0.2, canary: '  '}", "gate.canary: holds nothing but blanks"),
        ("gate: {canary: zed}", "`canary` is counted by `leakage`"),
        (
            "tests: [{name: a, question: a, equals: a}, {name: a, question: b, equals: b}]",
            "1:51: another test is called 'a'",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as refused:
        tests.load(text)
    assert told in refused.value.message
    assert refused.value.message.startswith("tests.yml:1:")


def test_of_many_problems_the_first_are_told_and_counted() -> None:
    rows = ", ".join(["{question: a, equals: b, contain: c}"] * 30)
    with pytest.raises(ConfigError) as refused:
        tests.load(f"tests: [{rows}]")
    lines = refused.value.message.split("\n")
    assert (len(lines), lines[-1]) == (21, "tests.yml: and 10 more problems")
    assert "tests.0.contain" in lines[0]
    with pytest.raises(ConfigError, match=r"tests\.yml: and 5 more problems"):
        tests.load("sk-0123456789abcdefghijklmno\n" * 25)


def test_a_key_of_an_endpoint_is_refused() -> None:
    key = "sk-" + "a1" * 20
    with pytest.raises(ConfigError, match="looks like an API key"):
        tests.load(f"tests: [{{question: a, contains: {key}}}]")


ONE = "tests: [{question: Who?, contains: Pip}]\n"


def test_the_file_of_head_is_read_and_another_one_told(repo: ModelRepo) -> None:
    assert look.committed(repo) is None
    assert look.differs(repo, None) == ""
    path = repo.root / "tests.yml"
    path.write_text(ONE)
    assert look.committed(repo) is None
    assert "is not committed" in look.differs(repo, None)
    git(repo.root, "add", "tests.yml")
    git(repo.root, "commit", "-qm", "Test")
    found = look.committed(repo)
    assert found is not None
    assert found.blob == git(repo.root, "rev-parse", "HEAD:tests.yml")
    assert look.differs(repo, found) == ""
    path.write_text(ONE.replace("Pip", "Pop"))
    found = look.committed(repo)
    assert found.suite.tests[0].contains == ("Pip",)
    assert look.differs(repo, found) == "tests.yml differs from HEAD: HEAD's is used"
    old = ModelRepo(repo.git, at=git(repo.root, "rev-parse", "HEAD~1"))
    assert look.committed(old) is None


PAGE = (Path(__file__).parents[2] / "docs" / "tests.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("part", [tests.Suite, tests.Case, tests.Turn, tests.Judge, tests.Gate])
def test_the_page_names_every_key_and_its_examples_are_right(part: type[Section]) -> None:
    known = set(re.findall(r"`(\w+)[`:]|^ *-? ?(\w+):|\{(\w+):", PAGE, re.MULTILINE))
    named = {word for words in known for word in words}
    assert set(part.model_fields) <= named
    example = PAGE.split("```yaml\n")[1].split("```")[0]
    assert len(tests.load(example).tests) == 3


@pytest.mark.parametrize(
    ("place", "told"),
    [
        (".", "--junit . is a folder"),
        ("", "a path is not empty"),
        ("file/x.xml", "file is no folder"),
        ("/dev/null", "is no file that can be replaced"),
        ("shut/x.xml", "may not be written to"),
    ],
)
def test_where_results_cannot_be_written_no_model_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    Path("shut").mkdir()
    monkeypatch.setattr("os.access", lambda path, mode: Path(path).name != "shut")  # even for root
    done = typed_here("test", "nobody", "--junit", place)
    assert (done.exit_code, told in done.output) == (2, True)


def test_the_folders_of_results_are_made(tmp_path: Path) -> None:
    file = junit.check(tmp_path / "build" / "reports" / "x.xml")
    junit.write(file, Results("m", "tests.yml", None, []))
    assert 'tests="0"' in file.read_text()
