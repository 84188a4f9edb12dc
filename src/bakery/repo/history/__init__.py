"""The bakes of all branches, and which one is meant."""
