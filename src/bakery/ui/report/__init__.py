"""A model's report as one HTML file: it asks nothing of a network, and no text in it can act."""
