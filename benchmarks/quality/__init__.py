"""Time to quality: how many CPU seconds until a bake is as good as it gets, side by side."""
