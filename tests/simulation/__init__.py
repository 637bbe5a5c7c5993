"""A world in virtual time around the real cores, driven by one seed.

* :mod:`~tests.simulation.jobs`: what the runs compute, what their steps cost, and what a serial loop makes of them.
* :mod:`~tests.simulation.links`: the clock, and connections that delay, lose and forget.
* :mod:`~tests.simulation.compute`: compute processes as their contract describes them.
* :mod:`~tests.simulation.nodes`: a scheduler, daemons and clients: what their servers do around the cores.
* :mod:`~tests.simulation.oracle`: what must be true, judged from outside the code under test.
* :mod:`~tests.simulation.world`: puts it together, and a command that replays a seed::

    python -m tests.simulation.world --seed 17 --verbose
"""
