"""Where `--on` leads, how work is cut, and what is done where a process is lost; without Ray."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import bakery
from bakery.app import run
from bakery.backends.base import RefusedError
from bakery.errors import ConfigError, GateError, StageError
from bakery.identity import BaseModelId
from bakery.pool import addresses, cluster
from bakery.pool.addresses import Place
from bakery.pool.cluster import FOLDER, Shape, fitting, over_nodes
from bakery.pool.crew import TRIES, Crew
from bakery.pool.parts import LARGEST, cut
from bakery.pool.work import Done, Failure, Here, Who
from bakery.reporting import Quiet
from bakery.store.processes import ProcessId
from bakery.torchrun.asked import UNSAID


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("local-cluster", Place()),
        ("local-cluster:4", Place(actors=4)),
        ("ray://head:10001", Place("head", 10001)),
        ("ray://10.0.0.7:10001/", Place("10.0.0.7", 10001)),
        ("ray://[fd00::7]:10001", Place("fd00::7", 10001)),
    ],
)
def test_a_place_is_this_machine_or_a_cluster(text: str, place: Place) -> None:
    assert addresses.place(text) == place
    assert addresses.place(str(place)) in (place, Place())


@pytest.mark.parametrize(
    "text",
    ["", "ray:/x", "slurm", "ray://", "ray://head", "ray://head:0", "ray://head:99999",
     "ray://a b:1", "ray://user:pw@head:1", "local-cluster:", "local-cluster:0", "local-cluster:-1",
     "local-cluster:9999", "http://head:10001", "LOCAL-CLUSTER", "ray://head:10001/x"],
)  # fmt: skip
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--on"):
        addresses.place(text)


def test_a_bake_alone_has_nothing_to_share_out() -> None:
    run.check_where(["bake"], UNSAID, None)
    with pytest.raises(ConfigError, match="shares out questions and answers"):
        run.check_where(["bake"], UNSAID, "local-cluster")


def test_a_missing_extra_is_told_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ConfigError, match="needs the package ray") as caught:
        addresses.check(Place())
    assert caught.value.hint == "`pip install 'prompt-bakery[ray]'` adds it."
    assert caught.value.exit_code == 2


def test_a_folder_whose_owner_was_killed_goes_with_the_next(tmp_path: Path) -> None:
    own = ProcessId.own()
    for name, pid in (("lives", own.pid), ("killed", 4_194_304)):
        folder = tmp_path / f"{FOLDER}{name}"
        folder.mkdir()
        (folder / "owner").write_text(f"{pid} {own.started} {own.host}", encoding="utf-8")
    (tmp_path / f"{FOLDER}of-nobody").mkdir()
    cluster.sweep(tmp_path)
    left = {path.name for path in tmp_path.glob(f"{FOLDER}*")}
    assert left == {f"{FOLDER}lives", f"{FOLDER}of-nobody"}


def test_a_cluster_of_this_machine_never_reads_the_token_of_another(tmp_path: Path) -> None:
    said = cluster.of_this_machine(tmp_path)
    token = Path(said["RAY_AUTH_TOKEN_PATH"])
    assert token.parent == tmp_path
    assert token.stat().st_mode & 0o777 == 0o600
    assert len(token.read_text(encoding="utf-8")) == 64


@pytest.mark.parametrize(
    ("rows", "actors"), [(0, 2), (1, 8), (17, 2), (100, 2), (999, 3), (5000, 4)]
)
def test_parts_are_all_rows_in_their_order(rows: int, actors: int) -> None:
    parts = cut(range(rows), actors)
    assert [row for part in parts for row in part] == list(range(rows))
    assert all(1 <= len(part) <= LARGEST for part in parts)
    assert len(parts) >= min(rows, actors)


def test_a_machine_has_room_for_a_process_a_gpu_or_a_few_cores() -> None:
    assert fitting(None, cores=2, gpus=0) == Shape(2, 1, 0, 1)
    assert fitting(None, cores=32, gpus=0) == Shape(8, 1, 0, 4)
    assert fitting(3, cores=8, gpus=0) == Shape(3, 1, 0, 2)
    assert fitting(None, cores=32, gpus=4) == Shape(4, 0, 1, None)
    assert fitting(8, cores=32, gpus=4).gpus == fitting(6, cores=32, gpus=4).gpus == 0.5
    assert fitting(None, cores=32, gpus=0, most=1) == Shape(8, 1, 0, 1)


def test_a_cluster_has_room_by_its_machines() -> None:
    assert over_nodes([{"CPU": 8.0}, {"CPU": 4.0}]) == Shape(3, 4, 0, 4)
    assert over_nodes([{"CPU": 2.0}]) == Shape(1, 2, 0, 2)
    assert over_nodes([{"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 1.0}]) == Shape(3, 0, 1, None)


HUNG = ConnectionAbortedError("Initialization failure from server:\nTraceback:\n  it hung")


@pytest.mark.parametrize(
    ("failures", "said"),
    [
        ([HUNG], None),
        ([HUNG, HUNG], "Initialization failure from server: it hung"),
        ([RuntimeError("2.9 is not 2.50")], "2.9 is not 2.50"),
    ],
)
def test_a_cluster_that_begins_no_server_is_asked_once_more(
    failures: list[Exception], said: str | None
) -> None:
    left, ended = list(failures), 0

    class Ray:
        def init(self, **_: Any) -> None:
            if left:
                raise left.pop(0)

        def shutdown(self) -> None:
            nonlocal ended
            ended += 1

    joined = pytest.raises(ConfigError, match=said) if said else nullcontext()
    with joined, ExitStack() as after:
        cluster._connect(Ray(), "ray://head:10001", after)
    assert not left
    assert ended == 1 + (HUNG in failures)


def test_an_error_is_the_same_behind_its_travels() -> None:
    gate = Failure.of(GateError("poor", hint="look")).error()
    assert isinstance(gate, GateError)
    assert (gate.message, gate.hint) == ("poor", "look")
    refused = Failure.of(RefusedError("no", reasons={"a": "b"}, gave_up=True)).error()
    assert isinstance(refused, RefusedError)
    assert (refused.reasons, refused.gave_up) == ({"a": "b"}, True)


class LostError(Exception):
    """What the stand-in for Ray raises of a process that is gone."""


@dataclass
class StandIn:
    """Ray, in this process: each part is done when it is waited for."""

    do: Callable[[int, Any], Any]
    version: str = bakery.__version__
    began: int = 0
    most: int = 0
    """Of what was waited for at once."""
    exceptions: Any = field(default_factory=lambda: SimpleNamespace(RayActorError=LostError))

    def remote(self, kind: Any) -> Any:
        return SimpleNamespace(options=lambda **_: SimpleNamespace(remote=self._begin))

    def _begin(self, threads: int | None) -> Any:
        self.began += 1
        number = self.began
        here = Here(self.version, "here", number)
        return SimpleNamespace(
            hello=_remote(lambda: here),
            do=_remote(lambda who, what, *given: self.do(number, given[0])),
        )

    def put(self, value: Any) -> Any:
        return value

    def wait(self, refs: Sequence[Any], **_: Any) -> tuple[list[Any], list[Any]]:
        self.most = max(self.most, len(refs))
        return [refs[0]], list(refs[1:])

    def get(self, ref: Any) -> Any:
        return ref()

    def cancel(self, ref: Any) -> None:
        """Know nothing that could be stopped."""


def _remote(work: Callable[..., Any]) -> Any:
    return SimpleNamespace(remote=lambda *given: lambda: work(*given))


WHO = Who(BaseModelId("tiny-1", "", "0" * 64), "tiny-1")


def crew(ray: StandIn, told: Quiet, actors: int = 2) -> Crew:
    made = Crew(ray, Shape(actors, 1, 0, 1), told)
    made.begin()
    return made


def test_a_part_whose_process_is_lost_is_made_by_another() -> None:
    asked: list[int] = []

    def do(actor: int, part: int) -> Done:
        asked.append(part)
        if actor == 1:
            raise LostError
        return Done(part, None, actor)

    told = Quiet()
    found = dict(crew(StandIn(do), told).each(WHO, "x", [(n,) for n in range(5)]))
    assert sorted(found) == [done.value for _, done in sorted(found.items())] == list(range(5))
    assert len(asked) == 6
    assert told.notes == [
        "process 1 of the pool (pid 1 on here) is lost: its part is made again by the other"
    ]


def test_a_process_that_begins_anew_is_told_of() -> None:
    told = Quiet()
    made = crew(StandIn(lambda actor, part: Done(part, None, 7)), told, actors=1)
    assert [n for n, _ in made.each(WHO, "x", [(1,), (2,)])] == [0, 1]
    assert len(told.notes) == 1
    assert "was lost and began anew as pid 7" in told.notes[0]


def test_a_part_that_ends_every_process_ends_the_run() -> None:
    def do(actor: int, part: int) -> Done:
        raise LostError

    with pytest.raises(StageError, match=f"{TRIES} processes were lost at the same part"):
        list(crew(StandIn(do), Quiet(), actors=TRIES + 1).each(WHO, "x", [(1,)]))
    with pytest.raises(StageError, match="every process of the pool is lost"):
        list(crew(StandIn(do), Quiet(), actors=2).each(WHO, "x", [(1,)]))


def test_another_version_is_refused() -> None:
    with pytest.raises(StageError, match=r"here has bakery 0\.0\.1"):
        crew(StandIn(lambda actor, part: None, version="0.0.1"), Quiet())


def test_no_more_processes_work_at_once_than_an_endpoint_takes() -> None:
    ray = StandIn(lambda actor, part: Done(part, None, actor))
    made = crew(ray, Quiet(), actors=4)
    while made._starting:
        made._welcome(next(iter(made._starting)))
    for most in (1, 3):
        ray.most = 0
        assert len(list(made.each(WHO, "x", [(n,) for n in range(8)], most=most))) == 8
        assert ray.most == most


def test_an_error_is_the_stages_to_raise() -> None:
    failed = Failure.of(ConfigError("too long", hint="shorten it"))
    made = crew(StandIn(lambda actor, part: Done([], failed, actor)), Quiet())
    with pytest.raises(ConfigError, match="too long"):
        made.one(WHO, "x", 1)
