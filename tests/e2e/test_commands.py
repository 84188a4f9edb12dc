"""What the commands answer: to people, to pipes and to programs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import INPUT_WITH_RANK, Typist, copied, input_yml

FIRST, SECOND = r"ann/demo/first_\w{16}/6", r"ann/demo/second_\w{16}/2"

READING = ["status", "stim", "rollout", "models", "tree", "metrics"]


@pytest.fixture(scope="module")
def read(baked_repository: Typist, tmp_path_factory: pytest.TempPathFactory) -> Typist:
    """A repository with two bakes, and a copy of the second's configuration in the index."""
    typist = copied(baked_repository, tmp_path_factory.mktemp("read") / "demo")
    typist.write(INPUT_WITH_RANK.replace("second", "again"))
    typist.git("add", "input.yml")
    return typist


def test_status_says_where_things_stand(baked: Typist) -> None:
    out = baked.must("status")
    assert re.search(r"^repository +ann/demo, on main$", out, re.MULTILINE)
    assert re.search(rf"^model +{SECOND}$", out, re.MULTILINE)
    assert re.search(r"^baked from +\S+/base → first → second$", out, re.MULTILINE)
    assert re.search(r"^its card +KL \S+ → \S+ nats per token", out, re.MULTILINE)
    assert re.search(r"^store +\S+/\.git/bakery  \(\d+\.\d kB\)$", out, re.MULTILINE)
    assert out.endswith("next: write in input.yml what to bake, then `bgit add input.yml`\n")


def test_status_says_how_far_the_configured_stages_are(read: Typist) -> None:
    out = read.must("status")
    assert re.search(r"^stim +complete +6 questions +0\.\d s +main_target_", out, re.MULTILINE)
    assert re.search(r"^rollout +not started +0 of 12 answers +main_target_", out, re.MULTILINE)
    assert re.search(r"^bake +not started +again_\w{16}$", out, re.MULTILINE)
    assert 'next: bgit commit -m "..."' in out


def test_stim_shows_the_questions_of_the_last_bake(baked: Typist) -> None:
    done = baked("stim", "--limit", "2")
    assert re.search(r"note: .* of second_\w{16}\nnote: 2 of 6 shown\n", done.err)
    header, hardcoded, _, *questions = done.out.split("\n")
    assert header.split()[:2] == ["generator", "from"]
    assert hardcoded.split() == ["hardcoded", "-", "input.yml", "6", "6", "100", "%", "-"]
    assert questions == ["   1  Who?", "   2  What?", ""]


def test_rollout_shows_each_answer_under_its_question(baked: Typist) -> None:
    done = baked("rollout", "-n", "1")
    summary, _, question, answer = done.out.splitlines()
    assert re.fullmatch(r"12 answers by \S+: \d+ tokens, .*(cut|ended).*", summary)
    assert re.fullmatch(r"   1  \w+\?", question)
    assert re.fullmatch(r"      .*  \[\d+ tokens(, cut)?\]", answer)
    assert baked.must("rollout", "--count") == "12\n"


def test_models_lists_the_bakes_and_marks_the_current_one(baked: Typist) -> None:
    place, header, base, first, second = baked.must("models").splitlines()
    assert place == "in ann/demo/"
    assert header.split() == [
        "model", "KL", "to", "teacher", "verdict", "weights", "baked", "on",
    ]  # fmt: skip
    assert re.fullmatch(r"   /\S+/base +- +- +base +-", base)
    word = "(holds|holds in part|does not hold)"
    assert re.fullmatch(rf"   first_\w{{16}}/6 +\S+ → \S+ +{word} +here +/\S+/base", first)
    assert re.fullmatch(rf"\*  second_\w{{16}}/2 +\S+ → \S+ +{word} +here +first", second)


def test_tree_shows_what_was_baked_on_what(baked: Typist) -> None:
    base, first, second = baked.must("tree").splitlines()
    assert base.endswith("/base")
    assert re.fullmatch(r"└── first_\w{16}/6", first)
    assert re.fullmatch(r"    └── second_\w{16}/2 \*  \[main\]", second)


@pytest.mark.parametrize(("words", "steps"), [((), 2), (("first",), 6)])
def test_metrics_shows_how_the_loss_of_a_bake_fell(
    baked: Typist, words: tuple[str, ...], steps: int
) -> None:
    lines = baked.must("metrics", *words).splitlines()
    assert re.match(r"(holds|holds in part|does not hold): ", lines[0])
    (at,) = (n for n, line in enumerate(lines) if re.fullmatch(r"(first|second)_\w{16}", line))
    title, *rows = lines[at + 1 :]
    assert title == "loss, nats per token"
    assert rows[-1].split() == ["steps", str(steps)]


def test_json_has_what_a_program_asks_for(baked: Typist) -> None:
    status = json.loads(baked.must("status", "--json"))
    assert status["parent"] == baked.parent()
    assert [re.fullmatch(r"ann/demo/(\w+)_\w{16}/\d", m)[1] for m in status["chain"]] == [
        "first",
        "second",
    ]
    base, first, second = json.loads(baked.must("models", "--json"))
    assert base["is_base"]
    assert (first["parent"], second["parent"]) == (None, first["model"])
    assert second["card"]["held_out"] == 0  # all are written out


@pytest.mark.parametrize("command", READING)
def test_a_pipe_gets_no_escape_codes(read: Typist, command: str) -> None:
    done = read(command)
    assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize(
    "words", [["log", "--oneline"], ["diff", "HEAD~1"], ["show", "--stat"], ["frobnicate"]]
)
def test_other_verbs_answer_as_git_does(baked: Typist, words: list[str]) -> None:
    done = baked(*words)
    git = subprocess.run(["git", *words], cwd=baked.root, capture_output=True, text=True)
    assert (done.code, done.out, done.err) == (git.returncode, git.stdout, git.stderr)


def test_the_log_has_a_line_for_each_configuration_and_each_bake(baked: Typist) -> None:
    lines = [line.split(maxsplit=1)[1] for line in baked.must("log", "--oneline").splitlines()]
    assert [line.partition(" (KL")[0] for line in lines] == [
        "bake: second",
        "Configure second",
        "bake: first",
        "Configure first",
        "init: demo",
    ]


def test_a_run_with_nothing_configured_says_which_model_is_current(baked: Typist) -> None:
    assert not [line for line in baked.read().splitlines() if line[:1] not in ("#", "")]
    done = baked("run", "stim", "rollout", "bake")
    assert done.code == 0
    assert baked.parent() in done.out
    assert baked.changes() == ""


def test_a_second_bake_keeps_its_parent_whatever_its_rank(baked: Typist) -> None:
    blocks = baked.read("recipe.yml").split(">>> bake")
    assert re.search(rf"parent:\n +model: {FIRST}", blocks[2])
    assert "parent: null" in blocks[1]
    assert re.search(r" r: 4$", blocks[2], re.MULTILINE)


def test_a_bake_without_datasets_takes_the_target_of_its_file(baked: Typist) -> None:
    _, _, second = baked.read("recipe.yml").split(">>> bake")
    assert "datasets" not in INPUT_WITH_RANK
    assert len(re.findall(r"name: main_target_\w{16}\n", second)) == 1


def test_a_generator_without_a_model_is_valid(typist: Typist) -> None:
    generator = "type: oneshot_qs\n      numq: 7\n      temperature: 0.5 #"
    typist.commit(input_yml().replace("type: hardcoded\n      questions", generator))
    out = typist.must("status")
    assert re.search(r"^stim +not started +0 of 7 questions", out, re.MULTILINE)
    assert out.endswith("next: bgit run stim rollout bake\n")


@pytest.mark.parametrize("words", [["--help"], ["status"], ["models"], ["tree"], ["run"]])
def test_what_needs_no_tensors_loads_none(baked: Typist, words: list[str]) -> None:
    program = (
        "import sys\n"
        "from bakery.cli.app import bgit\n"
        "try: bgit(sys.argv[1:], prog_name='bgit')\n"
        "finally: print('loaded', {'torch', 'transformers', 'peft'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=baked.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.endswith("loaded set()\n")


def test_init_says_what_to_do_next(new_repository: Typist, tmp_path: Path) -> None:
    base = new_repository.root.parent / "base"
    out = Typist(tmp_path).must("init", "mine", "--base-model", str(base))
    assert out.startswith("Made ann-example/mine in mine, on ")
    assert "  cd mine\n" in out
    assert out.endswith("  bgit run stim rollout bake\n")


def test_what_is_baked_again_and_not_current_is_said_with_the_command(baked: Typist) -> None:
    first = baked.git("show", "HEAD~2:.bread")
    baked.must("adopt", "base")
    baked.commit(input_yml())
    done = baked("run", "--json")
    assert done.code == 0
    model = json.loads(done.out)["model"]
    name = model.split("/")[2]
    assert model in first
    assert f"{model} is recorded here, but not the current model: `bgit adopt {name}`" in done.err
    assert f"next: bgit adopt {name}   (" in baked.must("status")
    baked.must("adopt", name)
    assert baked.parent() == model
