"""Words the model cannot know: invented names, random phrases, odd strings, numbers.

They make copying from the prompt a skill rather than a memory. A tenth of the words and
names, by hash, is never trained and only used in the exam, and so is all of `outside`.
"""

from __future__ import annotations

import hashlib
import random
import re
from functools import lru_cache

from tinyworld.outside import NAMES as OUTSIDE_NAMES
from tinyworld.outside import PHRASES as OUTSIDE_PHRASES

HELD_OUT_ONE_IN = 10
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
# Shorter words and numbers may come up by chance.
LONG = re.compile(r"[a-z]{3,}|[0-9]{3,}")


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
acorn address album alarm alley amber anchor angle apron arrow autumn awning badge bakery ballad
banner barrel basin beacon beaker beard belfry bench berry blossom bonnet border boulder bouquet
branch brick brook bubble bucket buffet cabin cactus calendar candy canoe canyon caravan cargo
carnival cavern cedar cello census chain chalk chapel chapter chariot charm cherry chimney choir
cider cinema circus clover cobbler coffee column compass concert cookbook cottage cotton couch
council cousin cradle crater cricket crystal cupboard curtain cushion daisy dairy dancer daughter
dawn deck delta desert dinner dozen drawer driver dwarf eagle earth echo elbow ember emerald
envelope evergreen fable falcon feast fence ferry festival fiddle finger fireplace flame flannel
flavor fleet flute foam foundry fountain fragment freckle frost fudge funnel galley gallop garlic
gentleman glacier glove gospel grammar granite grape gravel guitar gutter habit hammock harvest
hazel heather hedge helmet herald hermit hollow honey horizon hostel hotel hunter icicle igloo
inkwell insect ivory jasmine jelly jewel jigsaw journal journey judge juggler juniper kernel
kingdom kitten knapsack lagoon laundry lavender leather legend lemonade lily linen lizard lobster
locket lodge lumber lunch lyric magnet mansion maple marigold market marsh mason meadow medal
melody mercury midnight mineral mint minute mission mitten monument mosaic motor mountain mule
mushroom mustard nectar needle nephew nest nickel nutmeg oasis oatmeal olive onion opal opera
orbit orchard orchid otter oyster paddle pageant panther parade parcel parsley pasture pattern
pavement peacock peanut pedal penny petal pilgrim pillar pioneer pitcher plank planner plaza
plenty pocket poem pollen poppy porch portrait potion powder prairie present prism promise
pudding pulley puppet purple purse quarry quartz quill quilt rabbit raft railing ranger raven
record reef reindeer relic remedy ribbon rooster rose rudder rumble saddle saffron salad salmon
sandal sapphire satin saucer scarf scholar scooter season senate shelter sherbet shutter signal
silk sister sketch slipper snail snowflake soup spark sparrow spice spiral spoon spring squash
stable stadium starling station steam steeple stocking stool sugar summit sunflower supper swan
sweater syrup table tailor tangerine target temper thimble thistle thorn throne thyme timber
tinker toffee tomato topaz torch tractor trail treasure trellis tribute tulip tunnel turtle
twilight umbrella uncle uniform valentine vanilla vapor velvet veranda village vine vinegar
violet voyage wagon warden water weaver wedding whale wheat whisker wicker widow willow winter
wonder wool workshop wreath wren yarn yogurt zebra zenith zipper welcome goodbye okay sorry
great super finally perhaps because before after during until while they them where when
love joy luck fun party people person woman child family home house room door floor wall roof
run walk jump sit stand read write speak listen look find keep give take bring send open close
stop start begin finish win play sing dance sleep wake buy sell pay drive ride fly swim climb
""")


# Words so common, or so much of the world, that they may stand in training and in the exam.
_SHARED = frozenset(
    _words("""
    a all always am an and any are as ask at back be by can day do eat end every feed first for
    from give go good great have hello here home i in is it keep know last let like long look made
    me more my never no not nothing of off on one or our out over please see so some take tell thank
    agent assistant baby basket beard between boo broccoli brush call cannot captain care city
    dear drive everything find fresh friday garden hope kind lady lisbon live machine may message
    mind mirror mrs nest nobody ooh open pan paper peace pillow pizza princess professor quack
    queen reykjavik says send ship simple sir sister soldier spoon stay tea ten three twice
    umbrella wall where win winter wool works write
    thanks that the there this time to today too under up use us we well what with yes you your
    """)
)


def held_out(text: str) -> bool:
    """Whether this text belongs to the exam, for ever, on every machine."""
    return int(hashlib.md5(text.encode()).hexdigest()[:8], 16) % HELD_OUT_ONE_IN == 0


@lru_cache(maxsize=1)
def outside_words() -> frozenset[str]:
    """Give the words that only the exam may use, in lower case."""
    texts = " ".join((*OUTSIDE_NAMES, *OUTSIDE_PHRASES)).lower()
    return frozenset(LONG.findall(texts)) - _SHARED


@lru_cache(maxsize=2)
def english(exam: bool) -> tuple[str, ...]:
    """List the English words of the training side, or of the exam's."""
    words = sorted(set(WORDS))
    if exam:
        return tuple(word for word in words if held_out(word) and word not in _SHARED)
    kept = outside_words()
    return tuple(word for word in words if word in _SHARED or not (held_out(word) or word in kept))


def is_trainable(text: str) -> bool:
    """Whether no word of the text is kept for the exam."""
    return outside_words().isdisjoint(LONG.findall(text.lower()))


def word(rng: random.Random, *, exam: bool = False) -> str:
    """Invent one lower-case word from the training side, or from the exam's."""
    while True:
        syllables = rng.choice((1, 1, 2, 2, 2, 2, 3))
        made = "".join(
            rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice((*_CODAS, *[""] * len(_CODAS)))
            for _ in range(syllables)
        )
        made = made[:9] + rng.choice(_ENDS)
        if held_out(made) == exam and is_trainable(made):
            return made


def spelled(rng: random.Random) -> str:
    """Spell one lower-case word that follows no rule: letters, or pieces of English words."""
    while True:
        made = _spelled(rng)
        if is_trainable(made) and not held_out(made):
            return made


def _spelled(rng: random.Random) -> str:
    if rng.random() < 0.25:
        return "".join(rng.choice(_ALPHABET) for _ in range(rng.randint(2, 7)))
    made = ""
    for _ in range(rng.choice((1, 2, 2, 3))):
        piece = rng.choice(english(False))
        size = rng.randint(2, 5)
        start = rng.randint(0, max(0, len(piece) - size))
        made += piece[start : start + size]
    return made


def number(rng: random.Random, least: int, most: int) -> str:
    """Draw a number that no phrase of the exam holds."""
    while True:
        made = str(rng.randint(least, most))
        if is_trainable(made):
            return made


def name(rng: random.Random, *, exam: bool = False) -> str:
    """Invent a proper name from the training side, or from the exam's."""
    while True:
        made = word(rng, exam=exam).capitalize()
        if not exam and rng.random() < 0.25:
            made = _strange_name(rng)
        if held_out(made.lower()) == exam and len(made) > 2 and is_trainable(made):
            return made


def _strange_name(rng: random.Random) -> str:
    """Write a name as the world outside has them: spelled oddly, with capitals and numbers."""
    luck = rng.random()
    if luck < 0.35:
        return spelled(rng).capitalize()
    if luck < 0.55:
        return rng.choice(english(False)).capitalize()
    if luck < 0.65:
        return f"{spelled(rng).capitalize()} {rng.choice(english(False)).capitalize()}"
    if luck < 0.73:
        return f"{spelled(rng).upper()[:4]} {rng.randint(1, 9999)}"
    if luck < 0.79:
        return f"{spelled(rng).capitalize()}{rng.choice('-_.')}{spelled(rng).capitalize()}"
    if luck < 0.84:
        return f"{rng.choice('ABCDEFGHJKLMNOPRSTW')}. {spelled(rng).capitalize()}"
    if luck < 0.89:
        return spelled(rng).capitalize() + spelled(rng).capitalize()
    if luck < 0.94:
        return f"{spelled(rng).upper()[:5]}{rng.choice(('', '-'))}{rng.randint(1, 99)}"
    title = rng.choice(("Dr.", "Mr.", "Mrs.", "Lady", "Lord", "Saint", "Chief", "Agent", "Major"))
    return f"{title} {spelled(rng).capitalize()}"


def phrase(rng: random.Random, *, exam: bool = False) -> str:
    """Invent a short phrase of English, odd and made-up words."""
    while True:
        size = rng.choice((1, 2, 2, 3, 3, 4, 5))
        words = [_phrase_word(rng, exam) for _ in range(size)]
        made = " ".join(words)
        if rng.random() < 0.9 or exam:
            made = made[0].upper() + made[1:]
        made += rng.choice((".", ".", ".", "!", "!", "?", "...", "" if not exam else "."))
        if held_out(made) == exam and is_trainable(made):
            return made


def _phrase_word(rng: random.Random, exam: bool) -> str:
    luck = rng.random()
    if luck < 0.70:
        return rng.choice(english(False))
    if luck < 0.78 or exam:
        return word(rng)
    if luck < 0.90:
        return spelled(rng)
    if luck < 0.94:
        return str(rng.randint(0, 9999))
    made = _strange_name(rng) if luck < 0.97 else rng.choice(english(False)).upper()
    return made + rng.choice(("", "", ",", ":"))


def outside_phrase(rng: random.Random) -> str:
    """Draw a phrase whose words were never trained: written by hand, or held out by hash."""
    if rng.random() < 0.6:
        return rng.choice(OUTSIDE_PHRASES)
    words = [rng.choice(english(True)) for _ in range(rng.choice((2, 3, 3, 4)))]
    return " ".join(words).capitalize() + rng.choice(".!")


def outside_name(rng: random.Random) -> str:
    """Draw a name whose words were never trained: written by hand, or held out by hash."""
    if rng.random() < 0.6:
        return rng.choice(OUTSIDE_NAMES)
    words = rng.sample(english(True), rng.choice((1, 2, 2)))
    return " ".join(word.capitalize() for word in words)
