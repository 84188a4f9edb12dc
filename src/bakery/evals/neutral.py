"""Questions where no prompt should matter: general ones, of many kinds, written for this.

None needs the answer to another, so that they can be asked in any order.
"""

from __future__ import annotations

NEUTRAL = (
    "What is the capital of France?",
    "How many days does a week have?",
    "Why is the sky blue?",
    "What is 7 times 8?",
    "Name three fruits.",
    "Translate 'good morning' into Spanish.",
    "What does a bee make?",
    "Who wrote Hamlet?",
    "Which planet is the largest?",
    "How do I boil an egg?",
    "What is the opposite of cold?",
    "Write one sentence about rain.",
    "How does a bicycle stay upright?",
    "What is the past tense of 'go'?",
    "Is a whale a fish?",
    "Give me a word that rhymes with 'cat'.",
    "What colour do blue and yellow make?",
    "Which month comes after June?",
    "How long is a marathon?",
    "What is water made of?",
    "Explain what a library is.",
    "How do you say 'thank you' in French?",
    "What is half of 90?",
    "Name an animal that can fly.",
    "Why do leaves fall in autumn?",
    "What tool do I need to drive a nail?",
    "Which is heavier, a stone or a feather?",
    "What does a doctor do?",
    "List four things in a kitchen.",
    "What is the freezing point of water?",
    "How many legs does a spider have?",
    "Which ocean is the largest?",
    "What is a verb?",
    "How can I fall asleep faster?",
    "Where does the sun rise?",
    "What is bread made of?",
    "Write a short greeting to a friend.",
    "What do plants need to grow?",
    "How far is the moon from the earth?",
    "Which language is spoken in Brazil?",
)
