"""serving/memory.py"""

import ctypes

from serving import memory


def test_memory_is_given_back_without_complaint():
    """It can be called at any time, also twice."""
    memory.release_memory()
    memory.release_memory()


def test_a_c_library_without_the_call_is_fine(monkeypatch):
    """Only glibc has malloc_trim; elsewhere nothing happens."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    memory.release_memory()
