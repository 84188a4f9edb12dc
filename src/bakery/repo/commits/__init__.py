"""What changes the history: bakes recorded, taken back, adopted, merged."""
