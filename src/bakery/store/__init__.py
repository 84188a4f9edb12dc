"""Where results lie, who may write them, and the runs that do."""
