"""What a chain forgets: five bakes with and without replay and retention, measured after each."""
