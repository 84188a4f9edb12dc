"""What a GPU gives: are losses right in bf16, how fast is all of it, and whose kernel is faster."""
