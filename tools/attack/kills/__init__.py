"""Commands that write, killed at any moment: nothing is lost, nothing doubled, and they go on."""
