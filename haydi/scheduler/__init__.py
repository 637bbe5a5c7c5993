"""The scheduler: who computes which steps. A pure core (ledger, sizing, dealer, core) and a thin server."""
