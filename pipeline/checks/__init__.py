"""The checks of the gate: each a function that gives a ``Check`` with figure, limit, verdict and a sentence.

Not here: in which order, and what comes of it (``pipeline/gate.py``).
"""
