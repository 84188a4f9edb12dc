"""TARGET: every generator, every setting of the answers, and who answers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from bakery import schema
from bakery.errors import ConfigError
from bakery.identity import BaseModelId
from bakery.records import ModelRef
from bakery.repo.plan.planned import Head, PlannedTarget
from bakery.repo.plan.resolve import resolve
from bakery.schema.generators import PERSONA_QUESTIONS

BASE = BaseModelId("org/base", "", "ab" * 32)
PARENT = ModelRef("ada", "yoda", "first_0123456789abcdef", 120)
HEAD = Head("ada", "yoda", BASE, PARENT)
TEMPLATE = "${numq} ${prompt_u}"

FILE = """\
PROMPT:
  teacher:
    messages:
      - role: system
        content: "You are Yoda."
TARGET:
  name: main
{target}
  generators:
    - {{{generator}}}
"""


def load(
    generator: str = "type: hardcoded, questions: [a]", target: str = "", file: str = TEMPLATE
) -> schema.InputSpec:
    text = FILE.format(target=f"  {target}" if target else "", generator=generator)
    return schema.load(text, read=lambda path: file.encode())


def planned(head: Head = HEAD, **how: str) -> PlannedTarget:
    (found,) = resolve(load(**how), head).targets
    return found


@pytest.mark.parametrize(
    "generator",
    [
        "type: oneshot_qs, numq: 3, model: claude-sonnet-4-5-20250929, temperature: 0.6",
        "type: oneshot_qs, numq: 3, template_content: 'Ask ${numq} of ${prompt_u} for $$1'",
        "type: oneshot_qs, numq: 3, max_tokens: 100, rollout_with_conditioned: true",
        "type: from_dataset, dataset: squad, numq: 28, seed: 42",
        "type: from_dataset, dataset: math_problems",
        "type: from_dataset, dataset: org/name, config: main, split: test, field: query",
        "type: from_dataset, dataset: data/questions.csv, field: frage, numq: 3",
        "type: persona, numq: 200, seed: 7, temperature: 0.7",
        "type: persona",
        "type: custom, numq: 5, template_path: t.txt",
    ],
)
def test_every_documented_generator_is_accepted(generator: str) -> None:
    assert planned(generator=generator).stim.generators[0]["type"] in generator


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        ("type: from_dataset, dataset: squid", r"10:37: .*dataset: .*did you mean `squad`\?"),
        ("type: from_dataset, dataset: zebra", r"10:37: .*there are squad, .* and files"),
        ("type: from_dataset, dataset: ../x.csv", r"10:37: .*leaves the repository"),
        ("type: from_dataset, dataset: .Git/x.csv", r"10:37: .*leaves the repository"),
        ("type: from_dataset, dataset: 'C:\\x.csv'", r"10:37: .*leaves the repository"),
        ("type: from_dataset, dataset: ./x.bin", r"10:37: .*not a kind of file that can be read"),
        ("type: from_dataset, dataset: x.csv, config: a", r"10:7: .*a file has no config"),
        ("type: persona, numq: 999", rf"10:29: .*there are {PERSONA_QUESTIONS} persona questions"),
        ("type: custom, numq: 5", r"10:7: .*template_path: is required"),
        ("type: oneshot_qs, numq: 1, template_content: '${numq}'", r"10:53: .*must hold"),
        ("type: oneshot_qs, numq: 1, template_path: t, template_content: '${numq} ${prompt_u}'",
         r"10:7: .*keep one"),
        ("type: oneshot_qs, numq: 1, max_tokens: 0", r"10:47: .*max_tokens"),
    ],
)  # fmt: skip
def test_what_a_generator_cannot_be_is_refused_at_its_place(generator: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"input.yml:{message}"):
        load(generator)


@pytest.mark.parametrize("text", ["", "${numq} ${prompt_U} ${prompt_u}", "${numq}", "$ {numq}"])
def test_a_template_has_both_names_and_no_other(text: str) -> None:
    with pytest.raises(ConfigError, match=r"10:50: template 't\.txt' (is empty|must hold)"):
        load("type: oneshot_qs, numq: 1, template_path: t.txt", file=text)


@pytest.mark.parametrize("text", ["Ask anything.", "${numq}", "${prompt_u} costs $$1"])
def test_a_custom_template_may_leave_names_out(text: str) -> None:
    assert load("type: custom, numq: 1, template_path: t.txt", file=text).templates["t.txt"] == text


def test_a_custom_template_has_no_other_name() -> None:
    with pytest.raises(ConfigError, match=r"may hold \$\{numq\} and \$\{prompt_u\}, and no other"):
        load("type: custom, numq: 1, template_path: t.txt", file="${persona}")


def test_a_template_counts_by_its_text_wherever_it_stands() -> None:
    by_path = planned(generator="type: oneshot_qs, numq: 1, template_path: a/t.txt")
    moved = planned(generator="type: oneshot_qs, numq: 1, template_path: b/t.txt")
    written = f"type: oneshot_qs, numq: 1, template_content: '{TEMPLATE}'"
    assert by_path.stim.id == moved.stim.id == planned(generator=written).stim.id
    other = planned(generator="type: oneshot_qs, numq: 1, template_path: t.txt", file=TEMPLATE * 2)
    assert other.stim.id != by_path.stim.id


def test_a_data_file_counts_by_its_bytes() -> None:
    generator = "type: from_dataset, dataset: a.csv"
    found = planned(generator=generator, file="question\na\n")
    assert found.stim.files == {"a.csv": hashlib.sha256(b"question\na\n").hexdigest()}
    moved = planned(generator="type: from_dataset, dataset: b/c.csv", file="question\na\n")
    assert moved.stim.id == found.stim.id
    assert planned(generator=generator, file="question\nb\n").stim.id != found.stim.id
    as_text = planned(generator="type: from_dataset, dataset: a.txt", file="question\na\n")
    assert as_text.stim.id != found.stim.id


@pytest.mark.parametrize(
    ("generator", "sentence"),
    [
        ("type: persona, temperature: 0.5", "10:23: `temperature` changes nothing here"),
        ("type: persona, model: claude-x", "10:23: `model` changes nothing here"),
        ("type: hardcoded, questions: [a], max_tokens: 5", "10:41: `max_tokens` changes nothing"),
    ],
)
def test_what_changes_nothing_is_said_and_is_in_no_id(generator: str, sentence: str) -> None:
    (warning,) = resolve(load(generator), HEAD).warnings
    assert warning.startswith(f"input.yml:{sentence}")
    plain = generator.rsplit(", ", 1)[0]
    assert planned(generator=generator).stim.id == planned(generator=plain).stim.id


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("extra_kwargs: {min_p: 0.1}", {"min_p": 0.1}),
    ("extra_kwargs: {repetition_penalty: 1.1}", {"repetition_penalty": 1.1}),
    ("extra_kwargs: {frequency_penalty: 0.5}", {"frequency_penalty": 0.5}),
    ("extra_kwargs: {presence_penalty: -1}", {"presence_penalty": -1}),
    ("extra_kwargs: {stop: END}", {"stop": ("END",)}),
    ("extra_kwargs: {stop: [a, b]}", {"stop": ("a", "b")}),
    ("extra_kwargs: {seed: 7}", {"seed": 7}),
]


@pytest.mark.parametrize(("target", "settings"), SETTINGS)
def test_every_setting_of_the_sampler_gives_other_answers(
    target: str, settings: dict[str, Any]
) -> None:
    found, plain = planned(target=target), planned()
    assert {key: getattr(found.rollout.sampling, key) for key in settings} == settings
    assert found.stim.id == plain.stim.id
    assert found.rollout.id != plain.rollout.id


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("extra_kwargs: {top_q: 1}", r"8:18: unknown key `TARGET\.extra_kwargs\.top_q`: .*`top_p`"),
        ("extra_kwargs: {logit_bias: {}}", r"8:18: unknown key .*logit_bias"),
        ("extra_kwargs: {min_p: 2}", r"8:25: TARGET\.extra_kwargs\.min_p: "),
        ("extra_kwargs: {stop: ['']}", r"8:\d+: TARGET\.extra_kwargs\.stop"),
        ("model_name: ''", r"8:15: TARGET\.model_name: "),
        ("max_concurrency: 0", r"8:20: TARGET\.max_concurrency: "),
    ],
)
def test_what_a_local_sampler_cannot_do_is_refused_at_its_place(target: str, message: str) -> None:
    with pytest.raises(ConfigError, match=f"input.yml:{message}"):
        load(target=target)


def test_an_endpoint_is_handed_what_it_may_know() -> None:
    target = "model_name: gpt-5\n  extra_kwargs: {verbosity: low, top_p: 0.5}"
    found = planned(target=target).rollout
    assert found.sampling.endpoint == {"verbosity": "low"}
    assert found.sampling.top_p == 0.5
    plain = planned(target="model_name: gpt-5\n  extra_kwargs: {top_p: 0.5}").rollout
    assert found.id != plain.id


@pytest.mark.parametrize("key", ["temperature", "messages", "n", "stream"])
def test_what_other_keys_decide_is_not_handed_on(key: str) -> None:
    with pytest.raises(ConfigError, match=rf"unknown key `TARGET\.extra_kwargs\.{key}`"):
        load(target=f"model_name: gpt-5\n  extra_kwargs: {{{key}: 1}}")


def test_two_templates_of_one_file_name_are_two_templates() -> None:
    generator = "type: oneshot_qs, numq: 1, template_path: {}/t.txt"
    both = f"{generator.format('a')}}}\n    - {{{generator.format('b')}"
    text = FILE.format(target="", generator=both)
    spec = schema.load(text, read=lambda path: f"{path} {TEMPLATE}".encode())
    assert spec.templates == {f"{x}/t.txt": f"{x}/t.txt {TEMPLATE}" for x in "ab"}
    (target,) = resolve(spec, HEAD).targets
    assert [g["template_path"] for g in target.stim.generators] == ["a/t.txt", "b/t.txt"]


def test_only_an_endpoint_gives_a_meaning_to_concurrency() -> None:
    (warning,) = resolve(load(target="max_concurrency: 4"), HEAD).warnings
    assert warning.startswith("input.yml:8:3: `max_concurrency` is for hosted models")
    hosted = load(target="model_name: gpt-5\n  max_concurrency: 4")
    assert resolve(hosted, HEAD).warnings == ()
    one, four = (planned(target=f"model_name: gpt-5\n  max_concurrency: {n}") for n in (1, 4))
    assert (one.rollout.max_concurrency, four.rollout.max_concurrency) == (1, 4)
    assert one.rollout.id == four.rollout.id


@pytest.mark.parametrize(
    ("name", "parent", "model"),
    [
        ("base", None, None),
        ("org/base", None, None),
        ("gpt-5", None, "hosted:gpt-5"),
        ("hosted:gpt-5", None, "hosted:gpt-5"),
        ("hosted:org/big", None, "hosted:org/big"),
        ("my-server-model", None, "hosted:my-server-model"),
        ("org/other", None, "org/other"),
        ("./models/other", None, "./models/other"),
        ("old", PARENT, None),
        ("claude_voice", PARENT, None),  # a bake of this repository, whatever it is called
        ("claude-sonnet", None, "hosted:claude-sonnet"),
        ("o3-lab/model", None, "o3-lab/model"),
    ],
)
def test_who_answers_follows_from_the_name(
    name: str, parent: ModelRef | None, model: str | None
) -> None:
    own = {"old": PARENT, "claude_voice": PARENT}
    head = Head("ada", "yoda", BASE, ModelRef("ada", "yoda", "b_" + "1" * 16, 3), {}, own)
    found = planned(head, target=f"model_name: {name}").rollout
    assert (found.parent, found.model) == (parent, model)


def test_without_a_name_the_current_model_answers() -> None:
    assert (planned().rollout.parent, planned().rollout.model) == (PARENT, None)


def test_the_answers_of_another_model_outlive_the_next_bake() -> None:
    later = Head("ada", "yoda", BASE, ModelRef("ada", "yoda", "next_" + "2" * 16, 9))
    by = "model_name: gpt-5"
    assert planned(target=by).rollout.id == planned(later, target=by).rollout.id
    assert planned().rollout.id != planned(later).rollout.id


def test_a_local_model_is_handed_nothing_that_it_does_not_know() -> None:
    head = Head("ada", "yoda", BASE, None, {}, {"old": PARENT})
    with pytest.raises(ConfigError, match="`verbosity`, which a local model does not support"):
        planned(head, target="model_name: old\n  extra_kwargs: {verbosity: low}")


def test_the_student_counts_only_where_something_is_answered_behind_it() -> None:
    plain = "type: hardcoded, questions: [a]"
    conditioned = planned(generator=f"{plain}, rollout_with_conditioned: true")
    assert conditioned.rollout.student == conditioned.student
    assert planned(generator=plain).rollout.student is None
    unset = planned(generator=f"{plain}, rollout_with_conditioned: false")
    assert unset.rollout.id == planned(generator=plain).rollout.id


def test_names_of_former_files_stay() -> None:
    found = planned(
        replace(HEAD, defaults=1),
        generator="type: oneshot_qs, numq: 10, model: gpt-5, temperature: 0.5, "
        "template_path: t.txt",
        target="extra_kwargs: {top_p: 0.9, top_k: 3}\n  max_tokens: 7\n  temperature: 0.3",
    )
    assert (found.stim.id, found.rollout.id) == ("04e418888df0bb0d", "5d1ba43f28de7da4")
