"""What the frozen parent says, and how near a student comes."""
