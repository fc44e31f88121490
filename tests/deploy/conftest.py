"""Makes other rooms' helpers importable (pictures, the real program); a server, and pictures for it."""

import sys
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "data"), str(TESTS / "cli")]


def png(pixels: np.ndarray) -> bytes:
    held = BytesIO()
    Image.fromarray(pixels).save(held, "PNG")
    return held.getvalue()


@pytest.fixture(scope="session")
def pictures() -> list[tuple[np.ndarray, bytes]]:
    """Pixels (8, 8, 3) and their PNG; the engine sees exactly these."""
    drawn = np.random.default_rng(0).integers(0, 256, (64, 8, 8, 3), np.uint8)
    return [(pixels, png(pixels)) for pixels in drawn]


@pytest.fixture(scope="module")
def live():
    from live_server import Live

    with Live() as running:
        yield running
