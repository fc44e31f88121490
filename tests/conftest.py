"""What every test leaves as it found it."""

import sys

import pytest


@pytest.fixture(autouse=True)
def denormals_are_kept():
    """Training flushes denormal numbers to zero for the whole process; Hypothesis, in another test, needs them."""
    yield
    if "torch" in sys.modules:
        sys.modules["torch"].set_flush_denormal(False)
