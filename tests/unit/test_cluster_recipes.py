"""The recipes of examples/cluster: what they say to bgit is what bgit takes, and Slurm's runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from bakery.cli.app import bgit
from bakery.pool import addresses

FOLDER = Path(__file__).parents[2] / "examples/cluster"
SLURM = FOLDER / "slurm.sbatch"
COMING = {"--nproc", "--nnodes", "--rdzv"}
"""Options of a bake by many processes."""


def scripts() -> Iterator[tuple[str, str]]:
    """Yield every script of the recipes, by where it stands."""
    yield "slurm", SLURM.read_text(encoding="utf-8")
    sky = yaml.safe_load((FOLDER / "sky.yaml").read_text(encoding="utf-8"))
    yield "sky setup", sky["setup"]
    yield "sky run", sky["run"]
    for document in kubernetes():
        if document["kind"] == "Job":
            (container,) = document["spec"]["template"]["spec"]["containers"]
            yield "kubernetes job", container["args"][0]


def kubernetes() -> list[Any]:
    text = (FOLDER / "kuberay.yaml").read_text(encoding="utf-8")
    return list(yaml.safe_load_all(text))


@pytest.mark.parametrize(("where", "script"), list(scripts()))
def test_a_script_is_one_of_bash(where: str, script: str) -> None:
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def said_to_bgit(script: str) -> list[list[str]]:
    """Return what a script says to bgit, with a number for what it computes."""
    joined = script.replace("\\\n", " ")
    joined = re.sub(r'"?\$\(\(.*?\)\)"?|"?\$\{#?[a-z]+(\[@\])?\}"?', "2", joined)
    lines = re.findall(r"^\s*(?:srun (?:-\S+ +)*)?bgit (.+)$", joined, re.MULTILINE)
    return [shlex.split(re.sub(r"\$[a-zA-Z_]+", "7", line), comments=True) for line in lines]


LINES = [line for _, script in scripts() for line in said_to_bgit(script)]


@pytest.mark.parametrize("line", LINES, ids=" ".join)
def test_what_is_said_to_bgit_is_what_it_takes(line: list[str]) -> None:
    verb, *words = line
    command = bgit.get_command(click.Context(bgit), verb)  # type: ignore[attr-defined]
    assert command is not None
    known = {name for option in command.params for name in option.opts}
    if COMING & set(words) and not known >= COMING:
        pytest.skip("a bake by many processes is not here yet")
    if verb != "push":  # its words are git's
        found = command.make_context(verb, words).params
        if found.get("on"):
            assert addresses.place(found["on"]).port


def test_every_recipe_answers_and_bakes() -> None:
    assert len(list(scripts())) == 4
    for where, script in scripts():
        if where != "sky setup":
            said = [line[:2] for line in said_to_bgit(script)]
            assert ["run", "stim"] in said
            assert ["run", "bake"] in said


def test_the_pods_of_kubernetes_have_one_image_and_one_token() -> None:
    cluster, job, _ = kubernetes()
    groups = [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]
    pods = [group["template"]["spec"] for group in groups] + [job["spec"]["template"]["spec"]]
    containers = [container for pod in pods for container in pod["containers"]]
    assert len({container["image"] for container in containers}) == 1
    for container in containers:
        env = {one["name"]: one for one in container["env"]}
        assert env["RAY_AUTH_MODE"]["value"] == "token"
        secret = env["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
        assert secret == {"name": "bakery", "key": "token"}
    assert f"ray://{cluster['metadata']['name']}-head-svc:10001" in job_script()


def job_script() -> str:
    return dict(scripts())["kubernetes job"]


STAND_INS = {
    "scontrol": "printf 'n1\\nn2\\n'",
    "srun": """\
echo "srun $*" >>"$CALLS"
while [[ $1 == -* ]]; do shift; done
exec "$@"
""",
    "ray": """\
echo "ray $*" >>"$CALLS"
case $1 in
start) echo "$(cat "$RAY_AUTH_TOKEN_PATH") $(stat -c %a "$RAY_AUTH_TOKEN_PATH")" >>"$CALLS.tokens"
       echo node >>"$CALLS.nodes"; exec sleep 60 ;;
status) sed 's/^node/ 1 node_x/' "$CALLS.nodes" ;;
esac
""",
    "sleep": 'exec /bin/sleep "$([[ $1 == 2 ]] && echo 0.05 || echo "$1")"',
    "bgit": 'echo "bgit $*" >>"$CALLS"; exit "${FAILS:-0}"',
}


def run_slurm(workplace: Path, **env: str) -> tuple[int, list[str]]:
    """Run the script as sbatch would, where everything it calls only says so."""
    tools = workplace / "tools"
    tools.mkdir()
    for name, script in STAND_INS.items():
        path = tools / name
        path.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
    subprocess.run(["git", "init", "-q", "demo"], check=True)
    calls = workplace / "calls"
    given = {
        "PATH": f"{tools}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CALLS": str(calls),
        "SLURM_JOB_ID": "12345",
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_CPUS_PER_TASK": "16",
        **env,
    }
    done = subprocess.run(
        ["bash", str(SLURM)], cwd="demo", env={**os.environ, **given}, timeout=60, check=False,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "error" not in done.stderr.lower()
    return done.returncode, calls.read_text(encoding="utf-8").splitlines()


def test_slurms_script_begins_ray_on_every_machine_and_ends_it(workplace: Path) -> None:
    code, calls = run_slurm(workplace, SLURM_GPUS_ON_NODE="4")
    assert code == 0
    starts = [line for line in calls if line.startswith("ray start")]
    assert sum("--head" in line for line in starts) == 1
    assert sum("--address=n1:" in line for line in starts) == 1
    said = [line for line in calls if line.startswith("bgit")]
    assert said == [
        "bgit run stim rollout --on ray://n1:33345",
        "bgit run bake --nproc 4 --nnodes 2 --rdzv n1:43345",
    ]
    tokens = (workplace / "calls.tokens").read_text(encoding="utf-8").split()
    assert tokens.count("600") == 2
    assert len(set(tokens)) == 2
    assert len(max(tokens, key=len)) == 64
    assert not list(Path("demo/.git").glob("ray-token*"))


def test_slurms_script_ends_what_it_began_where_answering_fails(workplace: Path) -> None:
    code, calls = run_slurm(workplace, FAILS="4")
    assert code == 4
    assert [line for line in calls if line.startswith("bgit")] == [
        "bgit run stim rollout --on ray://n1:33345"
    ]
    assert not list(Path("demo/.git").glob("ray-token*"))
