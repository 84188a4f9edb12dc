"""The pages: what each is told, from the repository as it is now; and what their buttons do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from bakery.app import background, check, jobs, report
from bakery.app.run import STAGES
from bakery.app.serve import Catalogue, check_name
from bakery.errors import BakeryError, ConfigError, RepoError, StageError
from bakery.harmless import harmless
from bakery.masking import masked
from bakery.records import ModelRef
from bakery.repo.look import diff, status
from bakery.repo.look.status import Status
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Quiet
from bakery.schema.model_names import BASE
from bakery.server import guard
from bakery.server.app import More
from bakery.server.shell import no_route
from bakery.ui.check import cost_rows
from bakery.ui.diff import shown as value
from bakery.ui.report import sections
from bakery.web import lines, shown, talk
from bakery.web.rendered import HEADERS, html, static

MOST_JOBS = 20
"""That are listed, the latest first."""

MOST_LOG = 200_000
"""Bytes of a log that are shown: its end."""

_OF_API = ("/v1", "/health")


class Site:
    """The pages of one repository."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def more(self) -> More:
        """Return what is answered beside the API."""
        gets = {
            "/": self.tree,
            "/models/{name:path}": self.model,
            "/chat": self.chat,
            "/compare": self.compare,
            "/jobs": self.jobs,
            "/jobs/list": self.job_list,
            "/jobs/estimate": self.estimate,
            "/jobs/{id}/log": self.log,
            "/static/{name}": static,
        }
        posts = {
            "/jobs/run": self.run,
            "/jobs/record": self.record,
            "/jobs/{id}/cancel": self.cancel,
        }
        return More(
            [
                *(Route(place, answer) for place, answer in gets.items()),
                *(Route(place, answer, methods=["POST"]) for place, answer in posts.items()),
            ],
            {BakeryError: _refused, HTTPException: _nothing},
        )

    def tree(self, request: Request) -> Response:
        """GET /: every bake of all branches, in the line that it stands in."""
        repo = self._repo()
        found = repo.lineage()
        roots = {node.bake.id for node in found.roots}

        def row(spot: lines.Spot) -> shown.Row:
            assert spot.node is not None
            return shown.row(repo.store, spot.node, is_root=spot.node.bake.id in roots)

        return self._page(
            repo, "tree.html", lineage=found, line=lines.line(found), row=row, is_spot=_is_spot,
            base=shown.base(found.base),
        )  # fmt: skip

    def model(self, request: Request) -> Response:
        """GET /models/NAME: what `bgit report` shows of a bake."""
        name, repo = request.path_params["name"], self._repo()
        try:
            _check(name)
            found = report.report(repo, name)
        except BakeryError as error:
            return _told(error, 404)
        return self._page(
            repo,
            "model.html",
            title=sections.title(found),
            body=sections.body(found),
            bake=found.described.bake,
            has_weights=found.described.has_weights,
            parent=str(found.described.bake.parent or BASE),
        )

    def chat(self, request: Request) -> Response:
        """GET /chat?model=NAME: a bake beside its parent, and that behind the prompt."""
        repo = self._repo()
        name = request.query_params.get("model") or self._name_of(repo.state().parent)
        try:
            _check(name)
            columns = talk.sides(repo, name)
            bake, _ = talk.named(repo, name)
        except BakeryError as error:
            return _told(error, 404)
        if bake is not None and name in (bake.name, str(bake.model)):
            name = self._name_of(bake.model)
        return self._page(
            repo, "chat.html", columns=columns, name=name, names=self._names(),
            most=talk.MOST_STRENGTH,
        )  # fmt: skip

    def compare(self, request: Request) -> Response:
        """GET /compare?a=NAME&b=NAME: what two recipes say differently, and what both answer."""
        repo = self._repo()
        new = request.query_params.get("b") or self._name_of(repo.state().parent)
        try:
            _check(new)
            bake, _ = talk.named(repo, new)
            old = request.query_params.get("a") or self._name_of(bake.parent if bake else None)
            _check(old)
            columns = talk.both(repo, (old, new))
            pair = [talk.named(repo, name)[0] for name in (old, new)]
        except BakeryError as error:
            return _told(error, 404)
        bakes = [bake.model for bake in pair if bake is not None]
        differ = len(bakes) == 2 and bakes[0] != bakes[1]
        found = diff.diff(repo, [str(model) for model in bakes]) if differ else None
        return self._page(
            repo, "compare.html", columns=columns, old=old, new=new, names=self._names(),
            found=found, value=value, most=talk.MOST_STRENGTH,
        )  # fmt: skip

    def jobs(self, request: Request) -> Response:
        """GET /jobs: what is committed and how far it is, and the runs in the background."""
        return self._jobs(request)

    def job_list(self, request: Request) -> Response:
        """GET /jobs/list: the same without the page around it."""
        return self._jobs(request, alone=True)

    def estimate(self, request: Request) -> Response:
        """GET /jobs/estimate: what is still to be made, and what that would take."""
        try:
            forecast = check.dry_run(self._repo(), STAGES).forecast
        except BakeryError as error:
            return html("_estimate.html", rows=(), warnings=(), error=error)
        assert forecast is not None  # it is refused with an error
        rows = list(cost_rows(forecast.cost)) if not forecast.is_empty else []
        return html("_estimate.html", rows=rows, warnings=forecast.warnings, error=None)

    def log(self, request: Request) -> Response:
        """GET /jobs/ID/log: what a job has said."""
        repo = self._repo()
        try:
            found = jobs.find(repo, request.path_params["id"], Quiet())
            with found.log.open("rb") as file:
                file.seek(max(0, found.log.stat().st_size - MOST_LOG))
                content = file.read(MOST_LOG)
        except BakeryError as error:
            return _told(error, 404)
        except OSError as error:
            return _told(StageError(f"the log cannot be read: {error.strerror}"), 404)
        said = harmless(masked(content.decode("utf-8", "replace"), data=True))
        return PlainTextResponse(said, headers={**HEADERS, "Cache-Control": "no-store"})

    def run(self, request: Request) -> Response:
        """POST /jobs/run?commit=ID: launch what is committed, if that is what was shown."""
        guard.check_own(request)
        repo, notes = self._repo(), Quiet()
        try:
            _check_commit(repo, request.query_params.get("commit", ""))
            jobs.launch(repo, STAGES, reporter=notes)
        except BakeryError as error:
            return self._jobs(request, alone=True, error=error)
        except OSError as error:
            failed = StageError(f"the run could not be started: {error}")
            return self._jobs(request, alone=True, error=failed)
        return self._done(request, notes.notes)

    def record(self, request: Request) -> Response:
        """POST /jobs/record: record what jobs of this branch have made, as `bgit fetch` does."""
        guard.check_own(request)
        notes = Quiet()
        try:
            fetched = background.fetch(self._repo(), notes)
        except BakeryError as error:
            return self._jobs(request, alone=True, error=error)
        for refused in fetched.refused.values():
            return self._jobs(request, alone=True, error=refused)
        return self._done(request, notes.notes)

    def cancel(self, request: Request) -> Response:
        """POST /jobs/ID/cancel: stop a job; what it has made is kept."""
        guard.check_own(request)
        try:
            found = jobs.cancel(self._repo(), [request.path_params["id"]], reporter=Quiet())
        except BakeryError as error:
            return self._jobs(request, alone=True, error=error)
        for refused in found.refused:
            return self._jobs(request, alone=True, error=refused)
        return self._done(request, ())

    def _done(self, request: Request, notes: Sequence[str]) -> Response:
        """Return the jobs as they are now: to htmx in place, to a browser without it anew."""
        if "hx-request" not in request.headers:
            return RedirectResponse("/jobs", 303, HEADERS)
        return self._jobs(request, alone=True, notes=notes)

    def _jobs(
        self,
        request: Request,
        *,
        alone: bool = False,
        error: BakeryError | None = None,
        notes: Sequence[str] = (),
    ) -> Response:
        repo, told = self._repo(), Quiet()
        now = status.status(repo)
        everything = request.query_params.get("all") == "1"
        found = jobs.jobs(repo, everything=everything, limit=MOST_JOBS, reporter=told)
        is_whole = not alone or (error is not None and "hx-request" not in request.headers)
        return self._page(
            repo,
            "jobs.html" if is_whole else "_jobs.html",
            code=409 if error is not None else 200,
            status=now,
            base=shown.base(now.base.name),
            parent=self._name_of(now.parent),
            problems=shown.problems(now),
            stages=[shown.stage(one, found.jobs) for one in now.stages],
            is_open=any(one.state != "complete" for one in now.stages),
            can_run=_can_run(now),
            commit=repo.git.head(),
            jobs=[shown.job(one, now.branch) for one in reversed(found.jobs)],
            hidden=found.hidden,
            everything=everything,
            is_live=any(one.is_live for one in found.jobs) or not now.is_settled,
            error=error,
            notes=notes,
        )

    def _names(self) -> list[str]:
        """Return the names that a field offers: short ones, and whole ones where there is none."""
        found = self._catalogue.listed()
        short = {one.model for one in found if one.name != one.model and "/" not in one.name}
        return [one.name for one in found if "/" not in one.name or one.model not in short]

    def _name_of(self, model: ModelRef | None) -> str:
        """Return the shortest name of a model that means no other."""
        if model is None:
            return BASE
        known = {(one.name, one.model) for one in self._catalogue.listed()}
        return model.given_name if (model.given_name, str(model)) in known else str(model)

    def _page(self, repo: ModelRepo, name: str, /, *, code: int = 200, **more: Any) -> Response:
        return html(
            name,
            code=code,
            repository=self._catalogue.label,
            branch=repo.git.branch(),
            here=name.removesuffix(".html"),
            **more,
        )

    def _repo(self) -> ModelRepo:
        """Return the repository as it is now."""
        served = self._catalogue.repo
        return ModelRepo.find(served.root, backend=served.backend)


def _can_run(now: Status) -> bool:
    """Tell whether there is something to launch; what is under way already is not, once more."""
    is_busy = any(one.branch == now.branch for one in now.jobs)
    is_open = any(one.state != "complete" for one in now.stages)
    return now.plan is not None and not is_busy and (is_open or now.unrecorded is not None)


def _is_spot(part: lines.Spot | lines.Fold) -> bool:
    return isinstance(part, lines.Spot)


def _check(name: str) -> None:
    check_name(name, hint="The first page has those of this repository.")


def _check_commit(repo: ModelRepo, commit: str) -> None:
    """Refuse to run another commit than the page has shown."""
    now = repo.git.head()
    if now != commit:
        raise RepoError(
            f"the branch is at {(now or 'no commit')[:10]} by now, which is not what was shown",
            hint="Look at it once more: this page shows it now.",
        )


def _told(error: BakeryError, code: int) -> Response:
    """Return a page that says what is wrong, and what to do."""
    return html("error.html", code=code, message=error.message, hint=error.hint)


async def _refused(request: Request, error: Exception) -> Response:
    if request.scope["path"].startswith(_OF_API):
        raise error
    assert isinstance(error, BakeryError)
    return _told(error, 409)


async def _nothing(request: Request, error: Exception) -> Response:
    if request.scope["path"].startswith(_OF_API):
        return await no_route(request, error)
    assert isinstance(error, HTTPException)
    wrong = f"There is nothing at {request.scope['path']}."
    if error.status_code == 405:
        wrong = f"{request.scope['path']} does not take {request.method}."
    return _told(ConfigError(wrong), error.status_code)
