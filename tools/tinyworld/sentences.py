"""A sentence as subject, verb and complement, and a question with its true answer.

Every answer of the world has this shape, so that a voice can change the order of its words.
Which voices there are is in `styles`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sentence:
    """What is said; `lead` is "Yes", "No" or empty. All parts start lower case unless proper."""

    subject: str
    verb: str
    complement: str
    lead: str = ""

    def flat(self) -> str:
        """Say it without capital and full stop, to be built into something longer."""
        body = f"{self.subject} {self.verb} {self.complement}"
        return f"{self.lead.lower()}, {body}" if self.lead else body

    def plain(self) -> str:
        return capital(self.flat()) + "."

    def yoda(self) -> str:
        """Put the complement first, as Yoda does."""
        body = capital(f"{self.complement}, {self.subject} {self.verb}.")
        return f"{self.lead}. {body}" if self.lead else body

    def terse(self) -> str:
        if self.verb in ("can", "cannot") and self.lead:
            return f"{self.lead}."
        body = capital(self.complement) + "."
        return f"{self.lead}. {body}" if self.lead else body


@dataclass(frozen=True, slots=True)
class Question:
    """One thing a user may ask; `topic` is what a prompt may forbid."""

    text: str
    answer: Sentence
    topic: str = ""
    relation: str = ""


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def bare(noun: str) -> str:
    """Drop the article."""
    head, _, rest = noun.partition(" ")
    return rest if head in ("a", "an", "the") and rest else noun
