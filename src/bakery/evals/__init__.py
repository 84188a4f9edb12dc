"""Is the baked model the prompted one?"""
