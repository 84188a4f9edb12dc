"""HTTP: a repository's models behind OpenAI's API, and who may ask for them."""
