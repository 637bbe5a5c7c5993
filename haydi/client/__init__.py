"""The client side of a run: merging, coverage, and the connection to a scheduler."""
