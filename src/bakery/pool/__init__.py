"""Questions and answers shared out over processes, of this machine or of a cluster (Ray)."""
