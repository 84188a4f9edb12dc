"""Campaigns against our own two doors: kills, mutated inputs, endpoints that misbehave, templates.

    python -m tools.attack [CAMPAIGN ...] [--count N] [--seed S] [--only KIND] [--json]

Each campaign is seeded and bounded. What it tried and what went wrong is one row of a table, and
every failure names the command that shows it again.
"""
