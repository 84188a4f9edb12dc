"""`bgit ui` in a browser: the tree, a model, the chat while it streams, a run; nothing from afar.

Needs the extra `page` and a Chromium: `make test-page`. BAKERY_SHOTS names a folder for images.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from bakery.harmless import harmless
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.server import running
from bakery.server.running import Running
from bakery.store import job
from bakery.web.site import Site
from tests.e2e.conftest import Typist, copied, input_yml
from tests.support.amplified import amplify

CHROMIUM = Path(os.environ.get("BAKERY_CHROMIUM", "/usr/bin/chromium"))
SHOTS = os.environ.get("BAKERY_SHOTS")
DESKTOP = {"viewport": {"width": 1280, "height": 860}}
PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
PATIENCE_MS = 60_000
SIDES = ("first", "second@prompted", "second")
MANY, FEW = 300, 24
"""Tokens of an answer that is watched, and of others."""

sync_api: Any = pytest.importorskip("playwright.sync_api", reason="needs `make test-page`")

# A browser is no package of Python: `make test-page` says what it needs, and runs these with it.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.is_file(), reason=f"there is no {CHROMIUM}"),
]


@pytest.fixture(scope="module")
def typist(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    made = copied(baked_repository, tmp_path_factory.mktemp("page") / "demo")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in made.env.items():
            patch.setenv(name, value)
        amplify(made.root, 12.0)
    return made


@pytest.fixture(scope="module")
def server(typist: Typist) -> Iterator[Running]:
    repo = ModelRepo.find(typist.root)
    with running.opened(
        repo, port=0, rows=8, more=lambda names: Site(names).more(), reporter=Quiet()
    ) as found:
        found.start()
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        yield found
        found.close()


@contextmanager
def opened(
    browser: Any, server: Running, how: dict[str, Any], scheme: str, *, is_refused: bool = False
) -> Iterator[Any]:
    """Give a page, which has to stay without complaints and ask nobody else.

    `is_refused`: but for what a browser says of an answer that is an error.
    """
    home = server.url.removesuffix("/v1")
    context = browser.new_context(base_url=home, color_scheme=scheme, **how)
    context.set_default_timeout(PATIENCE_MS)
    page, complaints, asked = context.new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    refused = "Failed to load resource: the server responded with a status of 400"
    assert [one for one in complaints if not (is_refused and one.startswith(refused))] == []
    assert [url for url in asked if not url.startswith(f"{home}/")] == []
    context.close()


def shot(page: Any, name: str) -> None:
    """Check that nothing is wider than the screen; keep an image where that is asked for."""
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) <= 0
    if SHOTS:
        Path(SHOTS).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def answer(server: Running, model: str, question: str, tokens: int) -> dict[str, Any]:
    """Return what the API says, as one choice."""
    body = {"model": model, "temperature": 0, "max_tokens": tokens,
            "messages": [{"role": "user", "content": question}]}  # fmt: skip
    request = urllib.request.Request(
        f"{server.url}/chat/completions",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as told:
        found: dict[str, Any] = json.load(told)["choices"][0]
        return found


def told(server: Running, model: str, question: str, tokens: int = FEW) -> str:
    """Return what the API answers, as a page shows it."""
    return harmless(answer(server, model, question, tokens)["message"]["content"])


def questions(server: Running) -> tuple[str, str]:
    """Return one that all columns answer at length, and one that each answers otherwise."""
    asked = [f"{word} {number}?" for number in range(40) for word in ("q1 what", "Who", "Say")]
    at_length = (
        question
        for question in asked
        if all(answer(server, m, question, MANY)["finish_reason"] == "length" for m in SIDES)
    )
    otherwise = (
        question
        for question in asked
        if len({told(server, m, question) for m in (*SIDES, "second:0.5")}) == 4
    )
    return next(at_length), next(otherwise)


def said(page: Any) -> list[str]:
    """Return the texts of the last turn, column by column."""
    page.wait_for_selector("#send:not([hidden])")
    found: list[str] = (
        page.locator(".turn")
        .last.locator(".said")
        .evaluate_all("cells => cells.map(cell => cell.textContent)")
    )
    return found


def ask(page: Any, question: str) -> None:
    page.fill("#question", question)
    page.press("#question", "Enter")


def slide(page: Any, *strengths: float) -> None:
    """Move the slider, and let it go there: the last answer is given anew, at the last of them."""
    for strength in strengths:
        let_go(page, strength)
    page.wait_for_selector(f".answer.baked .figures:has-text('at {strengths[-1]:.2f}')")


def let_go(page: Any, strength: float) -> None:
    page.locator("input[type=range]").evaluate(
        """(slider, to) => {
            slider.value = to;
            slider.dispatchEvent(new Event("input"));
            slider.dispatchEvent(new Event("change"));
        }""",
        strength,
    )


@pytest.mark.parametrize(
    ("how", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"]
)
def test_from_the_tree_to_a_model_to_a_chat_at_any_strength(browser, server, how, scheme, request):
    kind = request.node.callspec.id
    with opened(browser, server, how, scheme) as page:
        page.goto("/")
        shot(page, f"tree-{kind}")
        page.click("#tree a:text-is('second')")
        assert page.locator("h1").inner_text() == "second"
        shot(page, f"model-{kind}")
        page.click("a.button.primary")
        at_length, otherwise = questions(server)
        page.fill("#tokens", str(MANY))
        ask(page, at_length)
        streaming = ".answer[aria-busy=true] .said:not(:empty)"
        page.wait_for_selector(f"{streaming} >> nth=2", state="attached")  # all three at once
        shot(page, f"chat-{kind}")
        page.click("#stop")
        assert len(said(page)) == 3
        page.click("#anew")
        page.fill("#tokens", str(FEW))
        ask(page, otherwise)
        parent, prompted, baked = said(page)
        assert [parent, prompted, baked] == [told(server, name, otherwise) for name in SIDES]
        slide(page, 0)
        assert said(page) == [parent, prompted, parent]
        slide(page, 0.5)
        assert said(page) == [parent, prompted, told(server, "second:0.5", otherwise)]
        slide(page, 0, 0.5, 1)
        assert said(page) == [parent, prompted, baked]
        ask(page, "And then?")  # each column goes on with its own answer
        assert len(said(page)) == 3
        assert page.locator(".answer.failed").count() == 0
        shot(page, f"turns-{kind}")


def test_two_models_are_asked_side_by_side(browser, server):
    with opened(browser, server, DESKTOP, "dark") as page:
        page.goto("/compare?a=first&b=second:0.5")
        page.fill("#tokens", str(FEW))
        ask(page, "q1 what?")
        assert said(page) == [told(server, name, "q1 what?") for name in ("first", "second:0.5")]
        shot(page, "compare-desktop")


def test_the_keyboard_is_enough(browser, server):
    with opened(browser, server, DESKTOP, "light") as page:
        page.goto("/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Enter")
        for _ in range(9):
            page.keyboard.press("Tab")
            if "/models/second_" in page.evaluate("document.activeElement.href"):
                break
        page.keyboard.press("Enter")
        page.wait_for_url("**/models/second_*")


def test_a_refused_message_stays_in_its_box(browser, server):
    with opened(browser, server, DESKTOP, "light", is_refused=True) as page:
        page.goto("/chat?model=first")
        page.fill("#tokens", "8000")
        ask(page, "Is that too long?")
        said(page)
        assert page.locator(".answer.failed").count() == page.locator(".head").count()
        assert page.input_value("#question") == "Is that too long?"
        page.fill("#tokens", "4")
        page.press("#question", "Enter")
        said(page)
        assert page.input_value("#question") == ""


def test_what_a_model_says_is_text(browser, server):
    with opened(browser, server, DESKTOP, "light") as page:
        page.goto("/chat?model=first")
        page.fill("#tokens", "8")
        ask(page, "<img src=x onerror=alert(1)><b>bold</b> \u202egnp")
        said(page)
        question = page.locator(".question").last
        assert question.locator("*").count() == 0
        assert "<b>bold</b> \\u202egnp" in question.inner_text()


def test_what_is_committed_is_run_watched_and_recorded(browser, server, typist):
    typist.commit(input_yml(prompt="Whistle!", bake="third"), "Configure third")
    with opened(browser, server, DESKTOP, "light") as page:
        page.goto("/jobs")
        page.wait_for_selector(".estimate dl")
        shot(page, "runs-desktop")
        page.click("button:has-text('Run')")
        page.wait_for_selector(".jobs .chip:has-text('running')")
        page.wait_for_selector("button:has-text('Record it on')")
        page.click("button:has-text('Record it on')")
        page.wait_for_selector("a:has-text('Look at it'), :text('No run is under way')")
        page.goto("/")
        page.click("#tree a:text-is('third')")
        assert page.locator("h1").inner_text() == "third"
    (made,) = job.listed(ModelRepo.find(typist.root).store)
    assert made.process is not None
    psutil.wait_procs(
        [one for one in psutil.Process().children() if one.pid == made.process.pid], timeout=30
    )
    assert not psutil.pid_exists(made.process.pid)  # nor is it left undead
