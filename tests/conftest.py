"""Threads of numeric libraries wait without spinning, here and in every process that a test starts.

Two threads that spin while the processor is shared make tiny fits ten times slower. It has to be set before the
libraries are loaded.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
