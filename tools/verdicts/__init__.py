"""What a verdict is worth: bakes that are good or spoilt, each with an exam that it never reads."""
