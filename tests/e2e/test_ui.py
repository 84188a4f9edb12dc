"""`bgit ui` as it is typed: the page and the API at one address, and its end."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from pathlib import Path

from tests.e2e.conftest import Typist, copied

PATIENCE_S = 60


def read(url: str, body: object = None) -> str:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as found:
        return str(found.read().decode())


def test_the_page_and_the_api_are_at_one_address(baked_repository: Typist, tmp_path: Path) -> None:
    typist = copied(baked_repository, tmp_path / "demo")
    log = tmp_path / "log"
    with (
        log.open("w") as out,
        typist.started("ui", "--port", "0", "--no-open", "--json", out=out) as process,
    ):
        end = time.monotonic() + PATIENCE_S
        while "}" not in log.read_text():
            assert time.monotonic() < end, "it never began"
            time.sleep(0.05)
        told = json.loads(log.read_text())
        assert (told["schema"], told["page"] + "v1") == (1, told["url"])
        assert "second" in read(told["page"])
        model = f"second_{typist.parent().partition('_')[2][:16]}"
        assert "what was to be learnt" in read(f"{told['page']}models/{model}")
        body = {"model": "second:0", "max_tokens": 4, "temperature": 0,
                "messages": [{"role": "user", "content": "q1 what?"}]}  # fmt: skip
        answers = [
            json.loads(read(f"{told['url']}/chat/completions", {**body, "model": name}))
            for name in ("second:0", "first")
        ]
        assert answers[0]["choices"][0]["message"] == answers[1]["choices"][0]["message"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 0
