"""A model as the files of other programs, each proven to be the same model."""
