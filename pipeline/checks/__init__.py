"""The checks of the gate: each a function that gives a ``Check`` with figure, limit, verdict and a sentence.

``judge.py`` makes them all. Not here: what comes of it (``pipeline/gate.py``).
"""
