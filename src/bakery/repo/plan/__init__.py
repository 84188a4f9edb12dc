"""What a commit asks for, with every name fixed."""
