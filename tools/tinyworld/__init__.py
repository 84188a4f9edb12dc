"""The small world `tiny-1` is taught: facts, voices, prompts, chats, and the exam.

Used by `tools/train_tiny.py` and by quality checks; the package `bakery` never imports it.
"""
