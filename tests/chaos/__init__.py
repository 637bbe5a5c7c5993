"""Real processes, real kills at random, and pipelines with known results: ``scripts/chaos``."""
