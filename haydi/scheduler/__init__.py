"""The scheduler: who computes which steps. A pure core (ranges, ledger, sizing, core) and a thin server."""
