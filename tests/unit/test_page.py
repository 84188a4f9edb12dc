"""The pages of `bgit ui` without a model: what they show, refuse, and never let act."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from bakery.app.serve import Catalogue
from bakery.card import Card
from bakery.errors import RepoError
from bakery.repo.look import status
from bakery.repo.model_repo import ModelRepo
from bakery.server import guard
from bakery.server.errors import RequestError
from bakery.store import job
from bakery.verdict import SideBySide, Verdict
from bakery.web import rendered, talk
from bakery.web.site import Site
from tests.support.in_background import complete, launched
from tests.support.recorded import baked, committed, forked, git

EVIL = "</pre><script>alert(1)</script><img src=x onerror=f()>\u202egnp\x1b[2J"
HERE = "http://127.0.0.1:8000"
OWN = {"Origin": HERE}


@pytest.fixture
def pages(repo: ModelRepo) -> Iterator[TestClient]:
    """The pages behind the guard of the server."""
    catalogue = Catalogue(repo)
    more = Site(catalogue).more()
    app = Starlette(
        routes=list(more.routes),
        middleware=[Middleware(guard.Guard)],
        exception_handlers={RequestError: refused, **more.handlers},
    )
    with TestClient(app, base_url=HERE) as client:
        yield client
    catalogue.close()


async def refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return error.answer()


def words(content: str) -> str:
    """Return what of a page people read."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", content))


def shown(pages: TestClient, place: str, status: int = 200) -> str:
    found = pages.get(place)
    assert found.status_code == status, found.text
    return found.text


PLACES = ("/", "/chat", "/chat?model=base", "/compare", "/jobs", "/jobs/list", "/nowhere",
          "/static/ui.js", "/models/nobody")  # fmt: skip
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def test_nothing_inline_runs_and_nothing_is_asked_of_others(pages):
    for place in PLACES:
        found = pages.get(place)
        assert found.headers["content-security-policy"] == POLICY
        assert found.headers["x-content-type-options"] == "nosniff"
        if "html" in found.headers["content-type"]:
            assert found.headers["cache-control"] == "no-store"
            assert not re.search(r"<style|<script(?! src=\"/static/)| style=| on\w+=", found.text)
            assert not re.search(r"(?:src|href|action)=\"(?!/|#)", found.text)


def test_the_tree_has_every_bake_of_all_branches(pages, repo):
    forked(repo)
    text = shown(pages, "/")
    assert [name in text for name in ("one", "two", "three", "four")] == [True] * 4
    assert 'aria-current="true">two</a>' in text
    assert "4 bakes on tiny-1" in words(text)
    href = re.search(r'href="(/models/four_[0-9a-f]{16})"', text)
    assert href is not None
    assert "four" in words(shown(pages, href[1]))


def test_a_repository_without_bakes_says_what_to_do(pages):
    assert "Nothing is baked yet" in shown(pages, "/")
    assert "the base model" in words(shown(pages, "/chat"))
    assert "bgit add input.yml" in shown(pages, "/jobs")


def test_the_page_of_a_model_is_its_report(pages, repo):
    baked(repo, "yoda")
    text = words(shown(pages, "/models/yoda"))
    assert "no verdict: baked before there was one" in text
    assert "Compare with its parent" in text
    assert "bgit import" in text  # its weights are not here
    assert "bgit reproduce yoda_" in text


NOBODY = ("nobody", "..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "-x", "a%00b", "x" * 400)


def test_a_name_that_no_model_has_gets_a_page_that_says_so(pages):
    named = [
        place
        for name in NOBODY
        for place in (f"/models/{name}", f"/chat?model={name}", f"/compare?a={name}&b=base")
    ]
    for place in (*named, "/models/base"):
        assert "That did not work" in shown(pages, place, 404)


def test_only_files_of_the_page_are_served(pages):
    assert shown(pages, "/static/ui.css").startswith("/*")
    assert "--paper" in shown(pages, "/static/report.css")
    for name in ("nothing.css", "..%2fsite.py", "htmx-4.0.1.LICENSE"):
        assert pages.get(f"/static/{name}").status_code == 404
    tag = pages.get("/static/ui.js").headers["etag"]
    assert pages.get("/static/ui.js", headers={"If-None-Match": tag}).status_code == 304


def test_htmx_is_the_file_of_its_release(pages):
    """`npm pack htmx.org@4.0.1`, dist/htmx.min.js; its licence, 0BSD, lies beside it."""
    found = hashlib.sha256(pages.get("/static/htmx-4.0.1.min.js").content).hexdigest()
    assert found == "a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130"


def test_no_text_of_a_model_acts(pages, repo):
    baked(repo, "yoda", EVIL.replace("\x1b", ""))
    git(repo.root, "branch", 'x"><script>alert(1)</script>')
    git(repo.root, "tag", "'><img/src=x>")
    card = Card(
        24, 480, 2.5, 0.125, 0.95, 0.975, 30.0,
        verdict=Verdict("does not hold", EVIL, {}),
        side_by_side=(SideBySide(EVIL, EVIL, EVIL, EVIL, EVIL),),
    )  # fmt: skip
    path = repo.store.bake(repo.find_bake("yoda").id) / "bake.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**data, "card": card.as_data()}), encoding="utf-8")
    for place in ("/", "/models/yoda", "/chat", "/compare?a=base&b=yoda", "/jobs"):
        text = shown(pages, place)
        assert "<script>" not in text
        assert "<img src=x" not in text
        assert "<img/src=x" not in text
        assert not {"\u202e", "\x1b"} & set(text)
    assert "&lt;script&gt;alert(1)" in shown(pages, "/models/yoda")


def test_a_stranger_s_name_of_a_bake_is_text_and_an_address(pages, repo):
    name = "<b>yo&da\"'"
    model = baked(repo, "yoda")
    for path in (".bread", "recipe.yml"):
        text = (repo.root / path).read_text(encoding="utf-8")
        (repo.root / path).write_text(text.replace("yoda_", f"{name}_"), encoding="utf-8")
    git(repo.root, "commit", "-qam", "As a stranger may have it")
    text = shown(pages, "/")
    assert "&lt;b&gt;yo&amp;da&quot;&#x27;" in text
    assert "<b>yo" not in text
    href = re.search(r'href="(/models/[^"]*)"', text)
    assert href is not None
    assert href[1] == f"/models/%3Cb%3Eyo%26da%22%27_{model.bake_id}"
    assert "&lt;b&gt;yo&amp;da" in shown(pages, href[1])


def test_a_page_s_own_sentences_name_commands_and_escape_the_rest():
    assert rendered.told("type `bgit <x>` & go") == ("type <code>bgit &lt;x&gt;</code> &amp; go")
    assert rendered.told("one ` alone") == "one ` alone"


FOREIGN = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:9999"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Origin": HERE},
    {"Sec-Fetch-Site": "none"},
]


def test_what_changes_something_has_to_come_from_the_page(pages, repo):
    committed(repo, "one")
    for place in (f"/jobs/run?commit={repo.git.head()}", "/jobs/record", "/jobs/abc/cancel"):
        for headers in FOREIGN:
            found = pages.post(place, headers=headers)
            assert found.status_code == 403, headers
            assert found.json()["error"]["code"] == "origin_not_allowed"
    assert not list((repo.store.root / "jobs").glob("*"))


def test_a_page_asked_for_by_another_name_is_refused(pages):
    assert pages.get("/", headers={"Host": "evil.example"}).status_code == 403


def test_a_get_starts_nothing(pages):
    for place in ("/jobs/run", "/jobs/record"):
        assert pages.get(place).status_code == 405


def run(pages: TestClient, repo: ModelRepo, **headers: str) -> Any:
    head = headers.pop("commit", repo.git.head())
    return pages.post(f"/jobs/run?commit={head}", headers={**OWN, "HX-Request": "true", **headers})


def test_a_run_that_is_refused_says_why_and_what_to_do(pages, repo):
    found = run(pages, repo)
    assert found.status_code == 409
    assert "input.yml is written, but not added: there is nothing to run" in found.text
    assert "<code>bgit add input.yml</code>" in found.text
    assert "<html" not in found.text  # htmx puts it in place
    plain = pages.post(f"/jobs/run?commit={repo.git.head()}", headers=OWN)
    assert (plain.status_code, "<html" in plain.text) == (409, True)
    assert not list((repo.store.root / "jobs").glob("*"))


def test_only_the_commit_that_was_shown_is_run(pages, repo):
    shown_then = repo.git.head()
    committed(repo, "one")
    found = run(pages, repo, commit=str(shown_then))
    assert (found.status_code, "which is not what was shown" in found.text) == (409, True)


def test_what_would_run_is_shown_with_a_button(pages, repo):
    plan = committed(repo, "one")
    text = shown(pages, "/jobs")
    assert plan.bake_name in text
    assert f'hx-post="/jobs/run?commit={repo.git.head()}"' in text
    assert "not started" in words(text)
    (repo.root / "input.yml").write_text("# other\n", encoding="utf-8")
    assert "What is not committed is not run" in shown(pages, "/jobs")


def test_jobs_are_polled_while_one_works_and_no_longer(pages, repo):
    plan = committed(repo, "one")
    mine = launched(repo, plan, progress=job.Progress("stim", 3, 12, detail=EVIL))
    text = shown(pages, "/jobs/list")
    assert 'hx-trigger="every 2s"' in text
    assert 'value="25"' in text
    assert f'hx-post="/jobs/{mine.id}/cancel"' in text
    assert 'hx-post="/jobs/run' not in text  # it is under way
    replace(mine, state="failed", error=f"it broke: {EVIL}", hint="mend `it`").write(repo.store)
    text = shown(pages, "/jobs/list")
    assert "every 2s" not in text
    assert ("it broke" in text, "<script>" in text) == (True, False)
    assert "<code>it</code>" in text


def test_a_stage_is_as_far_as_the_job_says_that_is_at_it(pages, repo):
    plan = committed(repo, "one")
    (stim, *_) = status.status(repo).stages
    assert stim.expected
    at = job.Progress("stim", 1, stim.expected, left_s=90)
    launched(repo, plan, names=(stim.name,), progress=at)
    text = words(shown(pages, "/jobs/list"))
    assert f"1 of {stim.expected} questions ({at.percent} %)" in text
    assert f"stim {at.percent} % (1/{stim.expected})" in text


def test_what_a_job_made_is_recorded_by_a_button(pages, repo):
    mine = complete(repo, committed(repo, "one"))
    before = shown(pages, "/jobs")
    assert "Record it on main" in words(before)
    assert before.count('class="primary"') == 1
    found = pages.post("/jobs/record", headers={**OWN, "HX-Request": "true"})
    assert found.status_code == 200
    assert '<a href="/models/one">one</a>' in found.text
    assert repo.state().parent is not None
    assert str(repo.state().parent) == mine.model
    assert "one" in words(shown(pages, "/"))


def test_a_plain_browser_is_led_back_to_the_list(pages, repo):
    complete(repo, committed(repo, "one"))
    found = pages.post("/jobs/record", headers=OWN, follow_redirects=False)
    assert (found.status_code, found.headers["location"]) == (303, "/jobs")


def test_a_log_is_shown_and_no_other_file(pages, repo):
    mine = launched(repo, committed(repo, "one"))
    job.log_path(repo.store, mine.id).write_text(f"note: {EVIL}\n", encoding="utf-8")
    found = pages.get(f"/jobs/{mine.id}/log")
    assert found.headers["content-type"] == "text/plain; charset=utf-8"
    assert "\\x1b[2J" in found.text
    assert pages.get("/jobs/..%2f..%2fconfig/log").status_code == 404


def test_a_job_that_is_over_cannot_be_stopped(pages, repo):
    mine = launched(repo, committed(repo, "one"), state="failed")
    found = pages.post(f"/jobs/{mine.id}/cancel", headers={**OWN, "HX-Request": "true"})
    assert (found.status_code, "there is nothing to stop" in found.text) == (409, True)


def test_columns_are_what_the_api_is_asked_for(repo):
    one, two = baked(repo, "one"), baked(repo, "two")
    assert [(c.role, c.model, c.strength) for c in talk.sides(repo, "two:0.5")] == [
        ("parent", str(one), None),
        ("prompted", f"{two}@prompted", None),
        ("baked", str(two), 0.5),
    ]
    assert talk.sides(repo, "one")[0].model == "base"
    assert [c.model for c in talk.both(repo, ("base", "two:0.5"))] == ["base", f"{two}:0.5"]
    assert [c.model for c in talk.sides(repo, "base")] == ["base"]
    with pytest.raises(RepoError, match="nobody"):
        talk.sides(repo, "nobody")


def test_two_recipes_are_compared_word_by_word(pages, repo):
    baked(repo, "one", "You are a pirate.")
    baked(repo, "two", "You are a poet.")
    text = shown(pages, "/compare?a=one&b=two")
    assert "<del>pirate.</del><ins>poet.</ins>" in text
    assert "kl after" in text


def test_the_api_s_own_errors_stay_its_own(pages):
    found = pages.get("/v1/nothing")
    assert found.json()["error"]["message"] == "There is nothing at GET /v1/nothing."
