"""For those who look after a cluster: what a scheduler tells of itself, and what operators can tell it."""
