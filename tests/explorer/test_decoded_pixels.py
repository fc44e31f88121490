"""The pixels that the page's decoders are held against (web/tests/pictures) are still those that Python makes."""

import base64
import hashlib
import json
import runpy
from pathlib import Path

KEPT = Path(__file__).parents[2] / "web" / "tests" / "pictures" / "pictures.json"


def test_kept_digests_are_those_of_python():
    rgba = runpy.run_path(str(KEPT.with_name("make_pictures.py")))["rgba"]
    pictures = json.loads(KEPT.read_text())
    assert len(pictures) > 80
    for picture in pictures:
        file = base64.b64decode(picture["file"])
        for version in picture["versions"]:
            pixels = rgba(file, version["near"])
            assert list(pixels.shape[:2]) == version["size"], picture["name"]
            assert hashlib.sha256(pixels.tobytes()).hexdigest() == version["sha256"], picture["name"]
