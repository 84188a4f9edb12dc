"""A flat file and flags over it, read, and completed where nobody said anything."""
