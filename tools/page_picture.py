"""Draws the picture of docs/ui.md: three columns of a chat, in a browser, from a repository.

    python tools/page_picture.py REPOSITORY MODEL [OUT]    # needs the extra `page` and a Chromium

`make demo-branches` leaves such a repository.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.server import running
from bakery.web.site import Site

CHROMIUM = os.environ.get("BAKERY_CHROMIUM", "/usr/bin/chromium")
QUESTIONS = ("Who are you?", "What is the color of a banana?", "Do you like rain?")


def main() -> None:
    """Ask, and take the picture."""
    root, model = Path(sys.argv[1]), sys.argv[2]
    out = Path(sys.argv[3] if len(sys.argv) > 3 else "docs/ui.png")
    with running.opened(
        ModelRepo.find(root), port=0, more=lambda names: Site(names).more(), reporter=Quiet()
    ) as server:
        server.start()
        shoot(f"{server.url.removesuffix('v1')}chat?model={model}", out)
    print(f"wrote {out}, {out.stat().st_size / 1000:.0f} kB")


def shoot(url: str, out: Path) -> None:
    """Take a picture of a chat in which every question is answered."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        page = browser.new_page(viewport={"width": 1280, "height": 760})
        page.goto(url)
        for question in QUESTIONS:
            page.fill("#question", question)
            page.press("#question", "Enter")
            page.wait_for_selector("#send:not([hidden])")
        page.screenshot(path=str(out))
        browser.close()


if __name__ == "__main__":
    main()
