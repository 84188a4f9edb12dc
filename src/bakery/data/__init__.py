"""Data files of every shape, to rows."""
