"""Rows of many models in one batch, which join and leave while it runs."""
