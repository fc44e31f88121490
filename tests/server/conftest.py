"""A server and pictures for it."""

import numpy as np
import pytest

from live_server import Live
from small_models import png


@pytest.fixture(scope="session")
def pictures() -> list[tuple[np.ndarray, bytes]]:
    """Pixels (8, 8, 3) and their PNG; the engine sees exactly these."""
    drawn = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), np.uint8)
    return [(pixels, png(pixels)) for pixels in drawn]


@pytest.fixture(scope="module")
def live():
    with Live() as running:
        yield running
