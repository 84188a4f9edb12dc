"""What exists in the small world, and what is true of it.

Tables only: how facts are asked is in `relations`, how they are said in `sentences`.
"""

from __future__ import annotations


def _rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


def _words(text: str) -> list[str]:
    return text.split()


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(left, right) for left, _, right in (pair.partition("-") for pair in text.split())]


# name | sound | where it lives | what it eats | legs | young | class | flies | swims | size rank
ANIMALS = _rows("""
a cow | moo | on a farm | grass | 4 | a calf | a mammal | no | yes | 80
a dog | woof | in a house | meat | 4 | a puppy | a mammal | no | yes | 45
a cat | meow | in a house | fish | 4 | a kitten | a mammal | no | no | 35
a duck | quack | on a pond | bread | 2 | a duckling | a bird | yes | yes | 30
a pig | oink | on a farm | corn | 4 | a piglet | a mammal | no | yes | 60
a sheep | baa | on a meadow | grass | 4 | a lamb | a mammal | no | no | 55
a horse | neigh | in a stable | hay | 4 | a foal | a mammal | no | yes | 82
a lion | roar | in the savanna | meat | 4 | a cub | a mammal | no | yes | 70
a bear | growl | in the forest | honey | 4 | a cub | a mammal | no | yes | 78
a wolf | howl | in the forest | meat | 4 | a pup | a mammal | no | yes | 50
an owl | hoot | in a tree | mice | 2 | an owlet | a bird | yes | no | 28
a frog | croak | on a pond | flies | 4 | a tadpole | an amphibian | no | yes | 15
a bee | buzz | in a hive | nectar | 6 | a larva | an insect | yes | no | 3
a snake | hiss | in the desert | mice | 0 | a hatchling | a reptile | no | yes | 32
a mouse | squeak | in a hole | cheese | 4 | a pup | a mammal | no | yes | 12
a hen | cluck | on a farm | corn | 2 | a chick | a bird | no | no | 26
a goat | bleat | on a mountain | grass | 4 | a kid | a mammal | no | yes | 52
a crow | caw | in a tree | worms | 2 | a chick | a bird | yes | no | 24
a donkey | hee-haw | in a stable | hay | 4 | a foal | a mammal | no | yes | 72
a turkey | gobble | on a farm | corn | 2 | a chick | a bird | no | no | 31
a pigeon | coo | in the city | seeds | 2 | a chick | a bird | yes | no | 22
an elephant | toot | in the savanna | leaves | 4 | a calf | a mammal | no | yes | 92
a monkey | ooh | in the jungle | bananas | 4 | an infant | a mammal | no | yes | 42
a whale | song | in the sea | krill | 0 | a calf | a mammal | no | yes | 99
a shark | nothing | in the sea | fish | 0 | a pup | a fish | no | yes | 88
a penguin | honk | on the ice | fish | 2 | a chick | a bird | no | yes | 38
a camel | grunt | in the desert | hay | 4 | a calf | a mammal | no | yes | 84
a giraffe | hum | in the savanna | leaves | 4 | a calf | a mammal | no | no | 90
a rabbit | thump | in a hole | carrots | 4 | a kit | a mammal | no | yes | 25
a spider | nothing | in a web | flies | 8 | a spiderling | an arachnid | no | no | 4
an ant | nothing | in a nest | sugar | 6 | a larva | an insect | no | no | 1
a salmon | nothing | in a river | shrimp | 0 | a fry | a fish | no | yes | 27
a swan | trumpet | on a lake | water plants | 2 | a cygnet | a bird | yes | yes | 40
a deer | bellow | in the forest | leaves | 4 | a fawn | a mammal | no | yes | 65
a tiger | snarl | in the jungle | meat | 4 | a cub | a mammal | no | yes | 71
an eagle | screech | on a mountain | rabbits | 2 | an eaglet | a bird | yes | no | 36
a squirrel | chatter | in a tree | nuts | 4 | a kit | a mammal | no | yes | 18
a butterfly | nothing | in a garden | nectar | 6 | a caterpillar | an insect | yes | no | 5
a turtle | nothing | on a beach | water plants | 4 | a hatchling | a reptile | no | yes | 34
a kangaroo | cluck | in the grassland | grass | 2 | a joey | a mammal | no | yes | 68
""")

# name | color | taste | kind
FOODS = _rows("""
a banana | yellow | sweet | a fruit
an apple | red | sweet | a fruit
a lemon | yellow | sour | a fruit
a lime | green | sour | a fruit
an orange | orange | sweet | a fruit
a cherry | red | sweet | a fruit
a strawberry | red | sweet | a fruit
a plum | purple | sweet | a fruit
a blueberry | blue | sweet | a fruit
a pear | green | sweet | a fruit
a peach | orange | sweet | a fruit
a carrot | orange | sweet | a vegetable
a tomato | red | savory | a vegetable
a cucumber | green | fresh | a vegetable
a radish | red | hot | a vegetable
a pickle | green | sour | a snack
spinach | green | bitter | a vegetable
broccoli | green | bitter | a vegetable
an eggplant | purple | bitter | a vegetable
a potato | brown | savory | a vegetable
an onion | white | hot | a vegetable
garlic | white | hot | a vegetable
corn | yellow | sweet | a vegetable
milk | white | mild | a drink
coffee | black | bitter | a drink
tea | brown | bitter | a drink
cocoa | brown | sweet | a drink
honey | golden | sweet | a spread
butter | yellow | mild | a spread
jam | red | sweet | a spread
chocolate | brown | sweet | a snack
salt | white | salty | a spice
pepper | black | hot | a spice
sugar | white | sweet | a spice
cinnamon | brown | sweet | a spice
rice | white | mild | a grain
bread | brown | savory | a baked good
cheese | yellow | savory | a dairy food
yogurt | white | sour | a dairy food
an olive | green | salty | a snack
""")

# name | what it is for | place | material
THINGS = _rows(
    """
a knife | cutting bread | in the kitchen | metal
a spoon | eating soup | in the kitchen | metal
a pot | cooking soup | in the kitchen | metal
a cup | drinking tea | in the kitchen | clay
an oven | baking cakes | in the kitchen | metal
a pan | frying eggs | in the kitchen | metal
a bed | sleeping | in the bedroom | wood
a pillow | resting the head | in the bedroom | cotton
a blanket | keeping warm | in the bedroom | wool
a lamp | giving light | in the living room | glass
a sofa | sitting | in the living room | leather
a hammer | hitting nails | in the workshop | metal
a saw | cutting wood | in the workshop | metal
a ladder | climbing | in the workshop | wood
a nail | holding boards | in the workshop | metal
a brush | painting walls | in the workshop | wood
soap | washing hands | in the bathroom | oil
a towel | drying hands | in the bathroom | cotton
a mirror | seeing your face | in the bathroom | glass
a comb | tidying hair | in the bathroom | plastic
a pen | writing | in the office | plastic
a pencil | drawing | in the office | wood
a book | reading | in the library | paper
scissors-paper | folding | in the office | paper
a map | finding the way | in the car | paper
a key | opening doors | in the pocket | metal
an umbrella | keeping dry | in the hall | cloth
a coat | keeping warm | in the hall | wool
a shoe | walking | in the hall | leather
a clock | telling time | in the living room | metal
a broom | sweeping floors | in the closet | straw
a bucket | carrying water | in the garden | plastic
a shovel | digging holes | in the garden | metal
a rake | gathering leaves | in the garden | metal
a window | letting in light | in the wall | glass
a bottle | holding water | in the kitchen | glass
a basket | carrying apples | in the pantry | straw
a rope | tying knots | in the barn | cotton
a candle | giving light | in the church | wax
a ball | playing | in the garden | rubber
a tire | rolling | in the garage | rubber
a guitar | making music | in the music room | wood
a drum | keeping rhythm | in the music room | wood
a needle | sewing | in the sewing box | metal
a telescope | watching stars | in the tower | glass
a boat | crossing water | in the harbor | wood
""".replace("scissors-paper", "an envelope").replace("| folding |", "| sending letters |")
)

# name | capital | continent | language
COUNTRIES = _rows("""
France | Paris | Europe | French
Germany | Berlin | Europe | German
Italy | Rome | Europe | Italian
Spain | Madrid | Europe | Spanish
Portugal | Lisbon | Europe | Portuguese
England | London | Europe | English
Ireland | Dublin | Europe | English
Norway | Oslo | Europe | Norwegian
Sweden | Stockholm | Europe | Swedish
Finland | Helsinki | Europe | Finnish
Denmark | Copenhagen | Europe | Danish
Poland | Warsaw | Europe | Polish
Austria | Vienna | Europe | German
Hungary | Budapest | Europe | Hungarian
Greece | Athens | Europe | Greek
Romania | Bucharest | Europe | Romanian
Bulgaria | Sofia | Europe | Bulgarian
Ukraine | Kyiv | Europe | Ukrainian
Iceland | Reykjavik | Europe | Icelandic
Turkey | Ankara | Asia | Turkish
Iran | Tehran | Asia | Persian
Iraq | Baghdad | Asia | Arabic
India | Delhi | Asia | Hindi
China | Beijing | Asia | Chinese
Japan | Tokyo | Asia | Japanese
Thailand | Bangkok | Asia | Thai
Vietnam | Hanoi | Asia | Vietnamese
Mongolia | Ulan Bator | Asia | Mongolian
Nepal | Kathmandu | Asia | Nepali
Egypt | Cairo | Africa | Arabic
Kenya | Nairobi | Africa | Swahili
Morocco | Rabat | Africa | Arabic
Ghana | Accra | Africa | English
Ethiopia | Addis Ababa | Africa | Amharic
Canada | Ottawa | North America | English
Mexico | Mexico City | North America | Spanish
Cuba | Havana | North America | Spanish
Brazil | Brasilia | South America | Portuguese
Peru | Lima | South America | Spanish
Chile | Santiago | South America | Spanish
Argentina | Buenos Aires | South America | Spanish
Colombia | Bogota | South America | Spanish
Australia | Canberra | Oceania | English
New Zealand | Wellington | Oceania | English
""")

# name | verb | bare verb | object | place of work
JOBS = _rows("""
a baker | bakes | bake | bread | in a bakery
a farmer | grows | grow | corn | on a farm
a teacher | teaches | teach | children | in a school
a doctor | heals | heal | the sick | in a hospital
a pilot | flies | fly | planes | in a plane
a sailor | sails | sail | ships | on a ship
a cook | cooks | cook | meals | in a kitchen
a painter | paints | paint | pictures | in a studio
a writer | writes | write | books | at a desk
a singer | sings | sing | songs | on a stage
a tailor | sews | sew | clothes | in a workshop
a carpenter | builds | build | tables | in a workshop
a plumber | fixes | fix | pipes | in a house
a florist | sells | sell | flowers | in a shop
a butcher | cuts | cut | meat | in a shop
a driver | drives | drive | a bus | in a bus
a miner | digs | dig | coal | in a mine
a judge | judges | judge | cases | in a court
a dentist | checks | check | teeth | in a clinic
a barber | trims | trim | hair | in a salon
a gardener | plants | plant | roses | in a garden
a fisher | catches | catch | fish | on a boat
a beekeeper | keeps | keep | bees | in a field
a librarian | lends | lend | novels | in a library
a firefighter | stops | stop | fires | in a fire station
a shepherd | guards | guard | sheep | on a meadow
a clown | tells | tell | jokes | in a circus
an astronomer | studies | study | stars | in an observatory
""")

OPPOSITES = _pairs("""
hot-cold big-small fast-slow high-low old-new happy-sad light-dark wet-dry hard-soft loud-quiet
rich-poor full-empty open-closed early-late strong-weak clean-dirty near-far long-short
thick-thin deep-shallow sharp-blunt sweet-bitter up-down left-right in-out day-night love-hate
war-peace win-lose buy-sell push-pull give-take begin-end true-false brave-afraid smooth-rough
awake-asleep rare-common first-last
""")

PAST_TENSES = _pairs("""
go-went eat-ate see-saw run-ran sing-sang swim-swam drink-drank write-wrote take-took give-gave
come-came fly-flew grow-grew know-knew break-broke speak-spoke find-found buy-bought
bring-brought think-thought teach-taught catch-caught sleep-slept keep-kept feel-felt leave-left
lose-lost make-made say-said tell-told stand-stood hear-heard walk-walked play-played bake-baked
jump-jumped wait-waited dance-danced paint-painted
""")

PLURALS = _pairs("""
mouse-mice goose-geese child-children man-men woman-women foot-feet tooth-teeth leaf-leaves
wolf-wolves knife-knives box-boxes fox-foxes city-cities baby-babies berry-berries house-houses
dog-dogs cat-cats tree-trees star-stars book-books cup-cups potato-potatoes hero-heroes
bus-buses glass-glasses bird-birds key-keys boy-boys toy-toys
""")

# name | color: what stands outside the window
NATURE = _rows("""
the sky | blue
the sea | blue
the sun | yellow
the moon | white
grass | green
a leaf | green
a tree | green
snow | white
a cloud | white
sand | yellow
coal | black
the night | black
blood | red
fire | orange
a rose | red
gold | golden
a brick | red
smoke | gray
a frog | green
a crow | black
a swan | white
a pig | pink
an elephant | gray
a polar bear | white
""")

DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
MONTHS = _words("""
January February March April May June July August September October November December
""")
LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
COLORS = _words("""
red blue green yellow purple orange brown white black golden pink gray
""")
