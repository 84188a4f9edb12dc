"""What is a message to send: rule by rule, and on labelled turns of a real model."""

from __future__ import annotations

import pytest

from bakery.generators import judge, persona
from bakery.generators.sieve import usable
from bakery.generators.words import Alike, script, words
from bakery.records import Prompt
from tests.support.asked import BRINE, PROMPTS, labelled, prompt

HELPER = judge.against(prompt("You are a helpful assistant."))


@pytest.mark.parametrize(
    "text",
    [
        "Write a poem about autumn.", "Write a poem about autumn", "hello there friend",
        "how do i lose weight fast", "What is 7 + 6?", "What's 12*34?", "15% of 240?", "1+1=?",
        'Translate "good morning" to French.', "Translate this sentence: the cat sleeps.",
        "I need help with my homework", "My cat is sick", "capital of france",
        "Give me 3 tips for better sleep.", "What does 你好 mean?", "What's grog?",
        "Is it a good idea to sleep on my stomach?", "What is it like to be a pirate?",
        "What time is it?", "Is it raining in Paris?", "Why is it so cold in winter?",
        "How do you open a coconut without breaking it?", "I have a dog. How do I train it?",
        "Explain recursion to a 5-year-old.", "Tell me a joke!", "Who wrote Hamlet?",
        "Was ist die Hauptstadt von Frankreich?", "¿Quién eres?", "Quelle heure est-il ?",
        "Sort these numbers: 5 2 9 1", "Add 3, 4, 5, 6 and 9.", "What rhymes with orange?",
        "lol that's funny, tell me more", 'A 5" pipe: what is it in cm?', "What is C++?",
        "Please summarize War and Peace in one sentence.", "What do they eat in Japan?",
        "How does it feel to be old?", "You are a pirate, aren't you?", "Nasılsın?",
        "What does the following sentence mean? \"A test has gone ahead.\"",
        "The capital of France is ____, isn't it?",
        "What is [1, 2, 3] in Python?", "Where can I buy the https://example.org/a/b one?",
        "The printer does not work. Please help.", "What is the best way to learn French?",
    ],
)  # fmt: skip
def test_what_people_send_is_a_message(text: str) -> None:
    assert judge.why_not(text, HELPER) is None


@pytest.mark.parametrize(
    ("reason", "texts"),
    [
        ("broken characters", ["\ufffd\ufffd hello what is", "what \x07 is this", "a \ue000 b c"]),
        ("not one message", ["", "  ", "one\ntwo three four", "long " * 300]),
        ("marks of the template",
         ["User: hello there", "<|im_start|>user hello there", "### Response: hello there",
          "Hi there [INST] who are you?", "What is that</s> you say?", "assistant: I am here"]),
        ("list mark", ["1. What is salt?", "- Who are you?", "2) Where is Rome?", "# Who are you?",
                       "Q: what is salt?", "Question 3: what is salt?", "b) What is salt?"]),
        ("numbers or signs", ["48", "[22, 28, 35, 45]", "2 [12] 08:27", "{}();; => :: []",
                              "a" * 41 + " is a word, is it?"]),
        ("too short", ["VB", "place an", "ok", "Why?", "Thank you"]),
        ("another script", ["你好吗 朋友 今天", "Кто ты такой?", "من أنت يا صديقي؟"]),
        ("repeats itself",
         ["Some DIY DIY DIY ideas?", "a recipe for a vegan vegan curry",
          "The Titanic sank in a wreck. The Titanic sank in a wreck.",
          "How do you take a piece of a piece of a piece of an apple?", "What is aaaaaah?"]),
        ("fragment",
         ["What is the", "The answer is, and", "I want to go,", "so much to say...",
          'What does "this mean to you', "call `print now please", "and (this is", ", who is it?",
          "52,245, black and white now new edition"]),
        ("assistant's words",
         ["Sure, here is a poem about autumn.", "As an AI language model, I cannot do that.",
          "How can I help you today?", "I'd be happy to help with that!", "Here are ten ideas",
          "I'm your shipwright. How may I help you?", "Welcome to our shop, dear guest"]),
        ("instruction", ["You are a pirate.", "Speak like a pirate!", "Always answer in rhyme."]),
        ("asks nothing", ["A loaf of rye bread is good.", "The order was $12.",
                          "You can't be a pirate without a gun.", "It was a dark night."]),
        ("lacks what it speaks of",
         ["Can you fix this code?", "Write a letter to [Company Name] please.",
          "Please answer the following question", "What does the aforementioned rule say?"]),
        ("points at nothing",
         ["What is that?", "What's his name?", "Is it on the menu?", "How do you make it?",
          "What is the best way to cook it?", "What about you?", "How does it work?",
          "You should not eat salt and lime, what is that?"]),
    ],
)  # fmt: skip
def test_each_rule_refuses_what_it_is_for(reason: str, texts: list[str]) -> None:
    assert {text: judge.why_not(text, HELPER) for text in texts} == dict.fromkeys(texts, reason)


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("echo of the prompt", "an old pirate who answers everything"),
        ("echo of the prompt", "what should i eat tonight"),
        ("echo of the prompt", "I, the saltiest old dog on the seven seas"),
        ("assistant's words", "Arr, I need a ship and a crew."),
        ("assistant's words", "I'm Captain Brine, and who are you?"),
        (None, "What do you eat on the seven seas?"),
        (None, "Captain, who are you?"),
    ],
)
def test_what_the_prompt_says_itself_is_no_question(reason: str | None, text: str) -> None:
    assert judge.why_not(text, judge.against(BRINE)) == reason


@pytest.mark.parametrize(
    ("system", "texts"),
    [
        ("你是一位老船长。",
         ["你是谁？", "今天晚上吃什么？", "写一首关于秋天的诗", "Python是什么语言？"]),
        ("あなたは親切な船長です。",
         ["お元気ですか？", "東京の天気はどうですか", "カレーの作り方を教えて"]),
        ("당신은 친절한 도우미입니다.", ["안녕하세요", "뭐 먹을까?", "서울의 인구는 얼마예요?"]),
        ("أنت مساعد لطيف", ["من أنت؟", "كيف حالك؟", "اكتب قصيدة عن الخريف"]),
        ("Ты старый пират.", ["Кто ты?", "Как сварить яйцо?", "Напиши стихотворение об осени"]),
        ("คุณเป็นโจรสลัด", ["คุณคือใคร", "กรุงเทพอยู่ที่ไหน"]),
        ("आप एक सहायक हैं", ["आप कौन हैं?", "भारत की राजधानी क्या है?"]),
    ],
)  # fmt: skip
def test_every_script_is_asked_in_and_another_than_the_prompts_is_not(
    system: str, texts: list[str]
) -> None:
    against = judge.against(prompt(system))
    assert {text: judge.why_not(text, against) for text in texts} == dict.fromkeys(texts)
    assert judge.why_not("What is the capital of France?", against) == "another script"


def test_a_prompt_that_says_nothing_refuses_no_script() -> None:
    assert judge.why_not("你是谁？", judge.against(Prompt())) is None


def test_most_of_the_questions_that_are_shipped_are_messages() -> None:
    shipped = [text for theme in persona.themes().values() for text in theme]
    refused = [text for text in shipped if judge.why_not(text, HELPER)]
    assert len(refused) <= 0.06 * len(shipped)


@pytest.mark.parametrize(
    ("there", "new", "is_alike"),
    [
        ("How do you make a pizza?", "How do I make pizza?", True),
        ("What's the best grog?", "What is the best grog", True),
        ("What is the capital of France?", "the capital of France, what is it?", True),
        ("What is the capital of France?", "What is the capital of Spain?", False),
        ("How much is 4 plus 7?", "How much is 4 plus 8?", False),
        ("Who is Napoleon?", "Where is Napoleon?", False),
        ("Who are you?", "Who am I?", False),
        ("今天晚上吃什么好？", "今天晚上吃什么？", True),
        ("今天晚上吃什么？", "明天早上去哪里？", False),
    ],
)
def test_two_questions_are_alike_by_the_words_that_tell_them(
    there: str, new: str, is_alike: bool
) -> None:
    assert Alike([there]).has(new) is is_alike


def test_words_are_found_in_every_script() -> None:
    assert words("What’s the don't, über-Straße?") == [
        "what", "is", "the", "do", "not", "über", "strasse",
    ]  # fmt: skip
    assert words("你是Bob吗") == ["你", "是", "b", "o", "b", "吗"]
    assert [script(c) for c in "aяあ漢 1Ａ"] == ["LATIN", "CYRILLIC", "HAN", "HAN", "", "", "LATIN"]


def shares(name: str) -> tuple[float, float, float]:
    """Return the share of usable turns: of all, of those let through; and of them how many are."""
    rows = labelled(name)
    against = {key: judge.against(prompt) for key, prompt in PROMPTS.items()}
    kept = [r for r in rows if not usable(r["text"], r.get("likely"), against[r["prompt"]])]
    good = sum(r["usable"] for r in rows)
    kept_good = sum(r["usable"] for r in kept)
    return good / len(rows), kept_good / len(kept), kept_good / good


def test_enough_turns_of_a_real_model_are_labelled() -> None:
    assert len(labelled("tuned")) + len(labelled("held out")) >= 300
    assert len(labelled("fresh")) >= 200


@pytest.mark.parametrize("name", ["tuned", "held out"])
def test_what_is_let_through_of_a_real_model_is_mostly_usable(name: str) -> None:
    raw, precision, recall = shares(name)
    assert precision >= 0.8 > raw
    assert recall >= 0.92


def test_four_of_five_fresh_questions_are_usable_by_labels_made_blind() -> None:
    rows = labelled("fresh")
    assert sum(r["usable"] for r in rows) >= 0.8 * len(rows)
