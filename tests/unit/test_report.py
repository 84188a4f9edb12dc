"""A model's report: what it shows, that nothing in it can act, and what it never writes over."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from bakery.app.report import report
from bakery.card import Asked, Card
from bakery.errors import ConfigError, RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.ui.report import files, page
from bakery.ui.report.markup import Markup, cut, element, text
from bakery.verdict import Covered, SideBySide, Verdict
from tests.support import version_1
from tests.support.commands import typed_here
from tests.support.recorded import baked, git

EVIL = "</style></pre><script>alert(1)</script><img src=x onerror=f()>\u202egnp\x1b[2J\x00"

CARD = Card(
    24, 480, 2.5, 0.125, 0.95, 0.975, 30.0,
    furthest=(Asked("How far?", 3.0, 0.5),),
    verdict=Verdict(
        "holds in part",
        "a price differs",
        {
            "questions": 24, "agreed": 0.875, "agreed_interval": [0.69, 0.96],
            "gap_closed_interval": [0.91, 0.98],
        },
    ),
    side_by_side=(
        SideBySide("What?", "No idea.", "It costs 49 euros.", "It costs 89 euros.", "numbers"),
    ),
    coverage=(
        Covered("A helmet costs 49 euros.", 3, 0.25),
        Covered("Never promise a date.", 0, None),
        Covered("You are Rosa.", 5, 0.9),
    ),
)  # fmt: skip


class Page(HTMLParser):
    """A page as a browser reads it: its elements with their attributes, and its text."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "hr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", "".join(self.words))


def planted(repo: ModelRepo, name: str, card: Card = CARD, **more: Any) -> Path:
    """Give a recorded bake another card, and whatever else bake.json may say; return its folder."""
    folder = repo.store.bake(repo.find_bake(name).id)
    path = folder / "bake.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "card": card.as_data(), **more}), encoding="utf-8")
    rows = [{"step": step, "loss": 1 / step, "eval_kl": 2 / step} for step in (1, 2, 3)]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "metrics.jsonl").write_text(lines, encoding="utf-8")
    return folder


def read(repo: ModelRepo, name: str = "parent", tests: Path | None = None) -> Page:
    return Page(page.page(report(repo, name, tests=tests)))


def test_the_verdict_comes_first_with_its_reason(repo: ModelRepo) -> None:
    baked(repo, "yoda")
    planted(repo, "yoda")
    shown = read(repo).text
    assert shown.index("holds in part") < shown.index("a price differs") < shown.index("95.0 %")
    assert shown.index("95.0 %") < shown.index("Answers side by side") < shown.index("Recipe")
    assert "87.5 % answered as prompted 69.0 to 96.0, n = 24" in spaced(repo)
    assert "95.0 % gap closed 91.0 to 98.0" in spaced(repo)
    assert "87.5 % (69.0 to 96.0, n = 24)" in spaced(repo)
    assert "yoda: holds in part" in shown


def spaced(repo: ModelRepo) -> str:
    """Return the page's words, apart where an element ends."""
    words = [word for part in read(repo).words for word in part.split()]
    return " ".join(words)


def test_only_what_differs_is_marked(repo: ModelRepo) -> None:
    baked(repo, "yoda")
    planted(repo, "yoda")
    content = page.page(report(repo))
    assert 'It costs <mark class="lost">49</mark> euros.' in content
    assert 'It costs <mark class="other">89</mark> euros.' in content
    assert "No idea." in content


def test_where_no_answer_differs_the_first_are_shown(repo: ModelRepo) -> None:
    baked(repo, "yoda")
    folder = planted(repo, "yoda", replace(CARD, side_by_side=()))
    assert "No answer differs" not in read(repo).text
    row = {"target": "t", "question": "Who?", "base": None, "prompted": "Pip.", "baked": "Pip!"}
    (folder / "asked.jsonl").write_text(
        "".join(json.dumps({**row, "question": f"Who is {n}?"}) + "\n" for n in range(5))
    )
    shown = read(repo).text
    assert "No answer differs. The first that were asked:" in shown
    assert ("Who is 2?" in shown, "Who is 3?" in shown) == (True, False)
    planted(repo, "yoda")
    assert "Who is 0?" not in read(repo).text


@pytest.mark.parametrize("damage", ["deep", "endless", "pipe"])
def test_first_questions_that_cannot_be_read_are_left_out(repo: ModelRepo, damage: str) -> None:
    baked(repo, "yoda")
    path = planted(repo, "yoda", replace(CARD, side_by_side=())) / "asked.jsonl"
    if damage == "deep":
        path.write_text("[" * 100_000 + "]" * 100_000 + "\n")
    elif damage == "endless":
        path.symlink_to("/dev/zero")
    else:
        os.mkfifo(path)
    assert "The first that were asked" not in read(repo).text


def test_a_sentence_that_nobody_asked_about_is_named(repo: ModelRepo) -> None:
    baked(repo, "yoda")
    planted(repo, "yoda")
    shown = read(repo).text
    missed = shown[shown.index("Sentences without an effect, or that were missed") :]
    assert "Never promise a date. no effect seen" in " ".join(missed.split()).replace(".n", ". n")
    assert "25.0 %" in missed
    assert "You are Rosa." not in missed


@pytest.mark.parametrize("name", [name[:-17] for name in version_1.BAKES])
def test_a_bake_from_before_there_were_verdicts_says_so(name: str, version_1_repo: Path) -> None:
    shown = read(ModelRepo.find(version_1_repo), name).text
    assert "no verdict: baked before there was one" in shown
    assert "Answers side by side" not in shown
    for part in ("The prompt", "Lineage", "Cost", "Recipe", "sha256:"):
        assert part in shown


@pytest.fixture(scope="module")
def version_1_repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return version_1.unpacked(tmp_path_factory.mktemp("report") / "one")


def test_the_chain_has_every_prompt_and_card(repo: ModelRepo) -> None:
    for name in ("one", "two", "three"):
        baked(repo, name)
    shown = read(repo).text
    lineage = shown[shown.index("the base model") : shown.rindex("Recipe")]
    assert lineage.index("You are one.") < lineage.index("You are two.") < lineage.index("three")
    assert lineage.count("KL 1.235 → 0.0457") == 3
    assert lineage.count("this model") == 1


def test_what_the_recipe_has_is_enough_where_the_store_is_not(repo: ModelRepo) -> None:
    model = baked(repo, "yoda")
    (repo.store.bake(model.bake_id) / "bake.json").unlink()
    shown = read(repo).text
    assert "You are yoda." in shown
    assert "1.235 → 0.0457" in shown


@pytest.mark.parametrize(
    "card",
    [
        {"held_out": 1, "kl_before": "x", "kl_after": 1.0, "prompt_tokens_saved": 1.0},
        {"held_out": 1, "prompt_tokens_saved": 1.0, "side_by_side": [3]},
        {"held_out": 1, "prompt_tokens_saved": 1.0, "coverage": [{"sentence": "x"}]},
        {"held_out": 1, "prompt_tokens_saved": 1.0, "targets": {"x": {"held_out": "x"}}},
    ],
)
def test_a_card_that_cannot_be_is_that_of_the_recipe(
    repo: ModelRepo, card: Mapping[str, Any]
) -> None:
    folder = planted(repo, baked(repo, "yoda").bake)
    path = folder / "bake.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "card": card}), encoding="utf-8")
    assert "1.235 → 0.0457" in read(repo).text


def test_the_results_of_tests_are_shown_as_they_were_given(repo: ModelRepo, tmp_path: Path) -> None:
    baked(repo, "yoda")
    sides = {
        "prompted": {"answer": "It is 49.", "passed": True, "checks": []},
        "baked": {
            "answer": EVIL,
            "passed": False,
            "checks": [{"check": "contains", "passed": False, "why": "49 is not in it"}],
        },
    }
    row: dict[str, Any] = {"name": "price", "state": "lost", "sides": sides}
    path = tmp_path / "tests.json"
    path.write_text(json.dumps({"schema": 1, "tests": [row]}), encoding="utf-8")
    assert "What it says to “price”" in read(repo, tests=path).text
    row["messages"] = [{"role": "user", "content": "How much?"}]
    path.write_text(json.dumps({"schema": 1, "tests": [row]}), encoding="utf-8")
    shown = read(repo, tests=path).text
    assert "What it says to “How much?”" in shown
    assert "0 of 1 pass, 1 lost that the prompted model passes." in shown
    assert "contains: 49 is not in it" in shown
    path.write_text('{"passed": 3, "tests": [{"question": "Why?"}]}', encoding="utf-8")
    assert "Why?" in read(repo, tests=path).text
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(ConfigError, match="holds no results of tests") as refused:
        report(repo, tests=path)
    assert str(path) not in str(refused.value.hint)  # a shell would empty it


def test_evaluations_beside_the_bake_are_shown_of_whatever_shape(repo: ModelRepo) -> None:
    folder = planted(repo, baked(repo, "yoda").bake)
    figure = {"value": 0.5, "low": 0.25, "high": 0.75, "unit": "share", "n": 8, "of": "questions"}
    axis = {"name": "leakage", "on": "8 tries", "figures": {"long_runs": figure}, "rows": []}
    found = {"suite": "quick", "axes": [axis, {"name": "drift", "why": "no questions"}]}
    kept = {"schema": 1, "results": {"12/quick/x": found, "6/quick/x": {"suite": "of another"}}}
    (folder / "eval.json").write_text(json.dumps(kept), encoding="utf-8")
    (folder / "eval_mine.json").write_text('{"score": {"value": 3, "n": 4}}', encoding="utf-8")
    shown = read(repo).text
    for told in ("Suite quick", "long runs", "50.0 %", "25.0 % to 75.0 %", "n = 8 questions",
                 "not measured: no questions", "eval_mine", "3 (n = 4)"):  # fmt: skip
        assert told in shown, told
    assert "of another" not in shown


def hostile(repo: ModelRepo) -> str:
    """Return the page of a bake in which every text is hostile."""
    baked(repo, "yoda", EVIL.replace("\x00", ""))
    planted(
        repo,
        "yoda",
        replace(
            CARD,
            verdict=Verdict("does not hold", EVIL, {EVIL: EVIL, "rows": [{EVIL: EVIL}]}),
            side_by_side=(SideBySide(EVIL, EVIL, EVIL, EVIL + " more", EVIL),),
            coverage=(Covered(EVIL, 0, None),),
            furthest=(Asked(EVIL, 1.0, 1.0),),
        ),
        tests={EVIL: [{EVIL: EVIL}]},
    )
    return page.page(report(repo))


def test_no_text_of_others_is_markup(repo: ModelRepo) -> None:
    content = hostile(repo)
    found = Page(content)
    assert found.open == []
    assert not {"script", "img", "link", "iframe", "object"} & {name for name, _ in found.elements}
    assert not [key for _, said in found.elements for key in said if key.startswith("on")]
    assert found.text.count("<script>alert(1)</script>") >= 8
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e]", content)
    assert r"\u202egnp\x1b[2J" in content


def test_the_page_loads_nothing(repo: ModelRepo) -> None:
    found = Page(hostile(repo))
    addresses = [said[key] for _, said in found.elements for key in ("src", "href") if key in said]
    assert addresses
    assert [at for at in addresses if not at.startswith("#")] == []
    (policy,) = [
        said["content"] for _, said in found.elements if "http-equiv" in said
    ]  # fmt: skip
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert [name for name, said in found.elements if "style" in said] == []
    content = page.page(report(repo))
    assert "url(" not in content
    assert "@import" not in content


def test_a_huge_text_is_cut_and_says_so(repo: ModelRepo) -> None:
    baked(repo, "yoda", "long " * 100_000)
    words = "a b " * 5_000
    planted(repo, "yoda", replace(CARD, side_by_side=(SideBySide("?", words, words, words, ""),)))
    content = page.page(report(repo))
    assert len(content) < 200_000
    assert "more characters)" in content
    assert "too long to compare word by word" in content


def test_the_same_records_give_the_same_bytes(repo: ModelRepo) -> None:
    baked(repo, "yoda")
    planted(repo, "yoda")
    first = page.page(report(repo))
    again = page.page(report(ModelRepo.find(repo.root)))
    assert first == again


def test_half_a_character_and_other_oddities_can_be_written() -> None:
    assert text("a\ud800b") == "a?b"
    assert text(Markup("<b>")) == "<b>"
    assert element("p", "<", None, ["&", '"'], class_='"x"') == (
        '<p class="&quot;x&quot;">&lt;&amp;&quot;</p>\n'
    )
    assert cut("abc", 2) == "ab… (1 more characters)"


def test_a_report_is_replaced_by_one_of_the_same_model_only(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.root)
    one, two = baked(repo, "one"), baked(repo, "two")
    assert files.write(report(repo, "one")) == Path(f"{one.bake}.html")
    files.write(report(repo, "one"))
    with pytest.raises(RepoError, match=f"is no report of .*/{two.bake}/"):
        files.write(report(repo), Path(f"{one.bake}.html"))
    mine = repo.root / "mine.html"
    mine.write_text("mine", encoding="utf-8")
    with pytest.raises(RepoError, match=r"mine\.html exists"):
        files.write(report(repo), mine)
    assert mine.read_text(encoding="utf-8") == "mine"
    files.write(report(repo), mine, force=True)
    assert str(two) in mine.read_text(encoding="utf-8")
    with pytest.raises(ConfigError, match="is a folder"):
        files.write(report(repo), repo.root, force=True)
    with pytest.raises(ConfigError, match="there is no folder"):
        files.write(report(repo), repo.root / "nowhere" / "x.html")


def test_it_is_written_printed_or_given_as_data(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repo.root)
    model = baked(repo, "yoda")
    planted(repo, "yoda")
    done = typed_here("report")
    assert (done.exit_code, done.output) == (0, f"wrote {model.bake}.html\n")
    written = (repo.root / f"{model.bake}.html").read_text(encoding="utf-8")
    assert typed_here("report", "yoda", "--out", "-").output == written
    data = json.loads(typed_here("report", "--json").output)
    assert (data["schema"], data["model"]) == (1, str(model))
    assert data["verdict"]["word"] == "holds in part"
    assert data["card"]["coverage"][1]["asked"] == 0
    assert [row["step"] for row in data["metrics"]] == [1, 2, 3]
    assert git(repo.root, "status", "--porcelain").split() == ["??", f"{model.bake}.html"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["base"], "is the base model: it was not baked here"),
        (["--json", "--out", "x.html"], "choose one of them"),
        (["nobody"], "nobody"),
    ],
)
def test_what_has_no_report_is_refused(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.chdir(repo.root)
    baked(repo, "yoda")
    done = typed_here("report", *words)
    assert done.exit_code in (2, 3)
    assert told in done.output


@pytest.mark.parametrize("broken", ["", "tests: [{question: a, contain: b}]\n"])
def test_tests_that_cannot_be_read_keep_no_report_back(
    repo: ModelRepo, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.chdir(repo.root)
    model = baked(repo, "yoda")
    folder = repo.store.bake(model.bake_id)
    (folder / "tests.json").write_text(json.dumps({"schema": 1, "blob": "ab", "tests": []}))
    (repo.root / "tests.yml").write_text(broken)
    git(repo.root, "add", "tests.yml")
    git(repo.root, "commit", "-qm", "Break the tests")
    done = typed_here("report", "--json")
    assert (done.exit_code, json.loads(done.stdout)["tests"]) == (0, None)
    assert "the tests of HEAD cannot be read: tests.yml:1:" in done.stderr
    checked = typed_here("check")
    assert checked.exit_code == 0
    assert "configures nothing" in checked.stdout
    assert "warning: the tests of HEAD cannot be read: tests.yml:1:" in checked.stdout
