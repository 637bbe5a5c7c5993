"""The worker daemon: a supervisor (a pure core and a thin server) over compute processes that run user code."""
