"""A table of products is baked by one prompt, which each row fills."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from bakery.engine.bases import bases
from bakery.records import Stimulus, read_rows
from tests.e2e.conftest import Typist, bgit

pytestmark = pytest.mark.slow

PRODUCTS = {"lamp": "12 coins", "chair": "40 coins", "clock": "7 coins"}

INPUT = """\
PROMPT:
  teacher: "The {product} costs {price}."
TARGET:
  name: shop
  max_tokens: 16
  generators:
    - type: from_dataset
      dataset: products.csv
    - type: hardcoded
      questions:
        - {question: "What is the price of the {product}?", product: sofa, price: 90 coins}
BAKE:
  name: shop
  retention: 0
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Typist:
    folder = tmp_path_factory.mktemp("shop")
    config = folder / "gitconfig"
    config.write_text("[user]\n    name = Ann\n    email = ann@example.org\n", encoding="utf-8")
    env = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1"}
    assert bgit("init", "shop", "--owner", "ann", cwd=folder, **env).code == 0
    made = Typist(folder / "shop", env)
    rows = [f"How much does the {{product}} cost?,{name},{price}"
            for name, price in PRODUCTS.items()]  # fmt: skip
    made.write("\n".join(["question,product,price", *rows, ""]), "products.csv")
    made.write(INPUT)
    made.must("add", ".")
    made.must("commit", "-m", "Prices")
    made.must("run", "stim", "rollout", "bake")
    return made


def asked(product: str) -> str:
    return f"How much does the {product} cost?"


def test_each_row_s_teacher_saw_its_own_prompt_and_answered_by_it(shop: Typist) -> None:
    (file,) = shop.store.glob("bake/*/probes.json")
    tokenizer = AutoTokenizer.from_pretrained(bases.locate("tiny")[0])
    seen = {
        probe["question"]: tokenizer.decode(probe["teacher_prefix"])
        for probe in json.loads(file.read_text("utf-8"))["probes"]
    }
    for product, price in PRODUCTS.items():
        assert f"The {product} costs {price}." in seen[asked(product)]
    assert "The sofa costs 90 coins." in seen["What is the price of the sofa?"]
    assert not any("{" in prefix for prefix in seen.values())
    answers = json.loads(shop.must("rollout", "--json"))["answers"]
    assert answers
    for answer in answers:
        assert answer["values"]["price"] in answer["text"]


def test_the_bake_answers_each_row_as_its_prompt_would(shop: Typist) -> None:
    prices = {**PRODUCTS, "sofa": "90 coins"}
    done = shop("chat", "--each", stdin="".join(f"{asked(name)}\n" for name in prices))
    said = dict(zip(prices, done.out.splitlines(), strict=True))
    assert {name for name, price in prices.items() if price in said[name]} == set(prices)


def test_questions_and_answers_are_shown_with_their_rows(shop: Typist) -> None:
    assert "[product=lamp, price=12 coins]" in shop.must("stim")
    assert "[product=sofa, price=90 coins]" in shop.must("rollout")
    shop.must("stim", "--out", "rows.csv")
    assert '"product=lamp, price=12 coins"' in shop.read("rows.csv")
    (file,) = shop.store.glob("stim/*/stimuli.jsonl")
    rows = read_rows(file, Stimulus)
    assert {row.values["product"]: row.values["price"] for row in rows if row.values} == {
        **PRODUCTS,
        "sofa": "90 coins",
    }


def test_where_one_prompt_is_shown_it_is_that_of_the_first_row(shop: Typist) -> None:
    done = shop("chat", "--compare", stdin=f"{asked('lamp')}\n")
    assert "is that of its first row: product=lamp, price=12 coins" in done.err
    assert "12 coins" in done.out
    assert "product=lamp, price=12 coins" in shop.must("show", "shop")


def test_a_row_without_a_price_stops_check_and_run(shop: Typist, workplace: Path) -> None:
    shop.write(INPUT)
    shop.write("question,product,price\nHow much?,lamp,12\nHow much?,chair,\n", "products.csv")
    shop.must("add", ".")
    for command in (["check"], ["run", "stim"]):
        done = shop(*command)
        assert done.code != 0
        assert "products.csv: row 2 has no value for {price}" in done.err
