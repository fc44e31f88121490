"""What several rooms share: helpers of tests are imported by their names."""

import os
import signal
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "data"), str(TESTS / "cli"), str(TESTS / "explorer")]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a script; what tests start inherits it
    signal.signal(signal.SIGINT, signal.default_int_handler)

if os.environ.get("NIN_HEAVY") != "1":  # what tests write need not outlive a power cut; that it is asked for is tested
    os.fsync = lambda descriptor: None


@pytest.fixture(scope="session")
def default_bundle(tmp_path_factory):
    """A small default network."""
    from nin.network.architecture import nin
    from small_models import make_bundle, preprocess

    return make_bundle(tmp_path_factory.mktemp("default") / "small", nin(4, width=0.2), preprocess((24, 24)))
