"""Contexts: where a pipeline runs. Importing this package loads no messaging library."""
