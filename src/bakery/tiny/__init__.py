"""The embedded chat model `tiny-1`: weights, tokenizer, template and card; no code."""
