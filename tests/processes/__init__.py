"""Tests with real processes and real kills."""
