"""An engine of others, started by us: asked by our names, behind our guards, gone with us."""
