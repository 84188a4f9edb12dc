"""The commands `bgit` and `bakery`: parse, call, show."""
