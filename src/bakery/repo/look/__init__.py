"""What people look at: read from git and the store, changing nothing."""
