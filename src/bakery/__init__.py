"""Prompt baking: context in, a small LoRA adapter out."""

__version__ = "0.1.0"
