"""What every client here reports: one line of JSON a step."""

import json
import sys
from pathlib import Path

URL, MODEL, PICTURE, LABEL = sys.argv[1:5]
DATA = Path(PICTURE).read_bytes()


def step(name, work):
    """Right when work() gives the expected label, or True; its last word is shown."""
    try:
        found = work()
        ok = found is True or found == LABEL
    except Exception as error:  # noqa: BLE001  whatever a client raises is the result
        ok, found = False, f"{type(error).__name__}: {error}"
    print(json.dumps({"step": name, "ok": ok, "detail": str(found)[:200]}), flush=True)


def refused(name, work, words):
    """Right when work() fails with these words."""
    try:
        ok, found = False, work()
    except Exception as error:  # noqa: BLE001
        ok, found = words in str(error), str(error)
    print(json.dumps({"step": name, "ok": ok, "detail": str(found)[:200]}), flush=True)
