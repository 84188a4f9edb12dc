"""What a repository does with the stages of its pipeline."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from typing import Literal, overload

from bakery.app import gates, jobs, run
from bakery.app.jobs import Launched
from bakery.app.run import RunReport
from bakery.errors import RepoError
from bakery.repo.model_repo import ModelRepo
from bakery.reporting import Reporter
from bakery.torchrun.asked import Processes


class Running:
    """Stages are run, here or in the background."""

    _repo: ModelRepo
    _told: Callable[[], AbstractContextManager[Reporter]]

    @overload
    def run(self, *stages: str, detach: Literal[False] = ..., force: bool = ...,
            allow: Collection[str] = ..., nproc: int | None = ..., shard: bool = ...,
            on: str | None = ...) -> RunReport: ...  # fmt: skip

    @overload
    def run(self, *stages: str, detach: Literal[True], force: bool = ...,
            allow: Collection[str] = ..., nproc: int | None = ..., shard: bool = ...,
            on: str | None = ...) -> Launched: ...  # fmt: skip

    def run(
        self,
        *stages: str,
        detach: bool = False,
        force: bool = False,
        allow: Collection[str] = (),
        nproc: int | None = None,
        shard: bool = False,
        on: str | None = None,
    ) -> RunReport | Launched:
        """Run stages (`stim`, `rollout`, `bake`; none: all three), and record a bake that is made.

        What is there is kept. `detach`: in the background; `fetch` records it. `force` makes a bake
        again. `allow` waives stops: `questions`, `teacher`, `limits`, `gate`. The bake is trained
        in `nproc` processes (None: one on each GPU), which with `shard` share the base's weights.
        `on` shares questions and answers out: "local-cluster", "local-cluster:4" or
        "ray://HOST:PORT".
        """
        processes = Processes(here=nproc, number=0, sharded=shard)
        wrong = {str(stage) for stage in stages} - set(run.STAGES)
        if wrong:
            raise RepoError(f"no stage is called {', '.join(sorted(wrong))}",
                            hint=f"There are: {', '.join(run.STAGES)}.")  # fmt: skip
        gates.check_names(allow)
        chosen = [stage for stage in run.STAGES if not stages or stage in stages]
        with self._told() as reporter:
            if detach:
                return jobs.launch(
                    self._repo, chosen, force=force, allow=tuple(allow), processes=processes,
                    on=on, reporter=reporter,
                )  # fmt: skip
            report = run.run(
                self._repo, chosen, force=force, allow=allow, processes=processes,
                on=on, reporter=reporter,
            )  # fmt: skip
        if report.refused is not None:
            raise report.refused
        return report
