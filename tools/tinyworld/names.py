"""Words the model cannot know: invented names, random phrases, numbers.

They make copying from the prompt a skill rather than a memory. A tenth of the names, by
hash, is never trained and only used in the exam.
"""

from __future__ import annotations

import hashlib
import random

HELD_OUT_ONE_IN = 10


def _words(text: str) -> list[str]:
    return text.split()


_ONSETS = _words("""
b br c ch cl d dr f fl g gl gr h j k kl kr l m n p pl pr qu r s sh sk sl sn st t th tr tw v w wh
y z zh bl sp
""")
_VOWELS = _words("""
a e i o u a e i o u ai ee oo ou ia ea oa
""")
_CODAS = _words("""
b d f g k l m n p r s t x z ck ll nd ng nt rd rk rn sh st th ss mp lt
""")
_ENDS = ["", "", "", "a", "o", "i", "us", "en", "el", "y", "or", "ix", "an", "in"]

WORDS = _words("""
time river stone paper garden music winter summer yellow seven little happy quiet morning
evening friend story letter number silver gold copper ocean island forest valley bridge castle
window mirror carpet basket bottle button pocket jacket blanket pillow candle lantern engine
rocket planet comet galaxy meteor parrot toaster kettle teapot biscuit cookie muffin pancake
waffle noodle dumpling pepper ginger walnut almond peanut raisin apricot mango melon pumpkin
turnip cabbage lettuce thunder lightning rainbow sunset sunrise shadow whisper laugh smile dream
hope trust courage wonder secret puzzle riddle magic dragon unicorn pirate wizard captain doctor
teacher farmer sailor soldier king queen prince knight giant fairy goblin ticket wallet market
office station airport harbor village city country world street corner square tower temple
palace school museum library theater kitchen cellar attic ladder hammer shovel pencil eraser
notebook folder camera radio piano violin trumpet banjo whistle drum football tennis hockey
chess marble balloon ribbon feather shell pebble coral pearl diamond please remember always
never maybe today tomorrow yesterday forever together again feed the sent from my have a nice
good day see you soon stay safe keep calm eat more drink water be kind over and out thanks for
asking that is all folks ask me again trust the process made with love at your service hello
there listen now attention dear user beep ready answer done go team big blue red green hot cold
fresh wild free brave bright gentle grand humble lucky merry noble proud rapid simple swift tiny
warm young zesty under above beside between our your this every one two three four five ten
hundred thousand all best long live peace
""")


def held_out(text: str) -> bool:
    """Whether this text belongs to the exam, for ever, on every machine."""
    return int(hashlib.md5(text.encode()).hexdigest()[:8], 16) % HELD_OUT_ONE_IN == 0


def word(rng: random.Random) -> str:
    """Invent one lower-case word."""
    syllables = rng.choice((1, 1, 2, 2, 2, 2, 3))
    made = "".join(
        rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice((*_CODAS, *[""] * len(_CODAS)))
        for _ in range(syllables)
    )
    return made[:9] + rng.choice(_ENDS)


def name(rng: random.Random, *, exam: bool = False) -> str:
    """Invent a proper name from the training side, or from the exam's."""
    while True:
        made = word(rng).capitalize()
        if rng.random() < 0.04 and not exam:
            made = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(5)).capitalize()
        if held_out(made) == exam and len(made) > 2:
            return made


def phrase(rng: random.Random, *, exam: bool = False) -> str:
    """Invent a short phrase of English and made-up words."""
    while True:
        size = rng.choice((1, 2, 2, 3, 3, 4))
        words = [rng.choice(WORDS) if rng.random() < 0.85 else word(rng) for _ in range(size)]
        made = " ".join(words)
        made = made[0].upper() + made[1:] + rng.choice((".", ".", "!", "!", "?"))
        if held_out(made) == exam:
            return made
