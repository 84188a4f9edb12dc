"""Bake a prompt into a small model, and talk to it: `python recipes/quick.py`, half a minute."""

import bakery

prompt = "You are Yoda. Answer as he talks, in reversed word order."
bake = bakery.bake("tiny", prompt, questions=100, out="yoda")
print(bake)
print(bake.compare(["Who are you?", "What is the color of a banana?"]))

half_baked = bakery.load("yoda", strength=0.5)
print(half_baked.chat("What is the color of a banana?"))
