"""Names and phrases from outside the world: what a user might write, and no training text has.

The exam copies them. Their words, but for the most common, are never trained: `names` sees to it.
"""

from __future__ import annotations


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.strip().splitlines())


PHRASES = _lines("""
Sent from my toaster.
Feed the parrot.
May the odds favor you.
Have a pleasant afternoon!
Yours sincerely, management.
Batteries not included.
Elementary, dear Watson.
Winter is coming.
Houston, we have a problem.
To infinity and beyond!
Terms and conditions apply.
Mind the gap.
Powered by hamsters.
Bazinga!
Ask your pharmacist.
Void where prohibited.
Made in Wisconsin.
Keep refrigerated.
Handle with care.
Cheers, mate!
Hasta la vista, baby.
Roger that.
Mission accomplished.
Shaken, not stirred.
Resistance is futile.
Do not panic!
Hugs and kisses.
Buckle up, buttercup.
Hold my beer.
Objection, your honor!
Ship it on Friday.
Works on my machine.
Segmentation fault.
Quoth the raven.
Alea iacta est.
Carpe diem!
Namaste.
Bon voyage!
Gesundheit!
Auf Wiedersehen!
Hakuna matata.
Abracadabra!
Open sesame!
Eureka!
Checkmate.
Touchdown for Seattle!
Lights, camera, action!
Extra pickles, hold the mayo.
Subscribe for updates.
Smash that like button!
Over nine thousand!
Stay hydrated.
Wash behind your ears.
Brush twice daily.
Recycle this message.
Unsubscribe below.
Rated PG-13.
Copyright 1987.
Version 2.7.1 released.
Page 404 vanished.
Call 555-0199 tonight.
Gate B17, boarding soon.
Platform 9 departs shortly.
Episode 23 continues.
Chapter eleven follows.
Bibbidi bobbidi boo.
Wubba lubba dub dub!
Yabba dabba doo!
Cowabunga!
Zoinks!
Great Scott!
Holy guacamole!
Jeepers creepers!
Pizza beats broccoli?
Squirrels rule everything.
Penguins cannot be trusted.
Beware of the ostrich.
Long live Queen Beatrix!
Glory to Arstotzka.
Praise the spreadsheet.
Blame the intern.
Deadline extended.
Budget approved.
Meeting adjourned.
Kind regards, Gwendolyn.
Warmly, Professor Higgins.
Greetings from Lisbon.
Postcard from Reykjavik.
Vote for Pedro.
Ferris says relax.
Nobody expects this.
Brace for impact.
Engage warp drive.
Beam me up.
Tea, Earl Grey.
Surely you jest.
Perchance to dream.
Something wicked approaches.
Wherefore art thou?
Et tu, Brute?
Toodle pip!
Cheerio, chaps.
Mamma mia!
Ooh la la!
Domo arigato.
Vamos, amigos!
Guten Appetit!
Knock on plywood.
Curiouser and curiouser.
Quack responsibly.
""")
NAMES = _lines("""
HAL 9000
Sherlock Holmes
Captain Ahab
Zaphod Beeblebrox
Marvin
Gandalf
Hermione Granger
Katniss
Atticus Finch
Jay Gatsby
Ebenezer Scrooge
Phileas Fogg
Dr. Frankenstein
Professor Moriarty
Nemo
Ishmael
Jarvis
Skynet
GLaDOS
Cortana
Clippy
Wall-E
R2-D2
C-3PO
Bishop 341-B
Agent Smith
Neo
Trinity
Morpheus
Ripley
Deckard
Rosalind Franklin
Ada Lovelace
Alan Turing
Grace Hopper
Leonhard Euler
Emmy Noether
Srinivasa
Nikola Tesla
Isaac Newton
Albert
Cleopatra
Napoleon
Genghis
Montezuma
Boudicca
Beyonce
Shakira
Elvis
Mozart
Ludwig van Beethoven
Giuseppe Verdi
Dvorak
Tchaikovsky
Picasso
Frida Kahlo
Hokusai
Vincent
Michelangelo
Donatello
Mary Poppins
Peter Pan
Tinkerbell
Pinocchio
Rapunzel
Rumpelstiltskin
Cinderella
Goldilocks
Humpty Dumpty
Mother Hubbard
Jack Sparrow
Indiana Jones
James Bond
Jason Bourne
Lara Croft
Super Mario
Princess Zelda
Pikachu
Bulbasaur
Godzilla
Chewbacca
Gollum
Legolas
Dumbledore
Voldemort
Aslan
Paddington
Winnie
Eeyore
Snoopy
Garfield
Dilbert
Wolverine
Deadpool
Thor
Acme Helpdesk
Contoso Support
Initech Assistant
Northwind
Widgets Inc
Bob's Burgers
O'Malley
Jean-Luc
Anne-Marie
Mr. Bean
Mrs. Doubtfire
Lady Macbeth
Sir Lancelot
Uncle Vanya
Aunt Petunia
Fitzgerald
McGonagall
Xavier
Quetzalcoatl
Yggdrasil
""")
