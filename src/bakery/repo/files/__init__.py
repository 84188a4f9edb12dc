"""The three tracked files: how they are read, and how they are written."""
