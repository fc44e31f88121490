"""The photos that the explorer shows with nin-clothing: python experiments/2026-11-30-clothing/examples.py PHOTOS

Twelve of the test split: for every class in turn the photo that is answered rightly with the probability in the middle
of such answers, so neither the easiest nor a lucky one; then of the two classes with the most photos the next one. The
surest answer comes first. No photo is taken that is called unknown, and none that is answered otherwise as it is
written: 96 x 96 pixels, as the network sees it, as JPEG, without whatever else the file held.
"""

import argparse
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import nin

OUT = Path(__file__).resolve().parents[2] / "src/nin/explorer/examples/nin-clothing"
COUNT = 12
SIDE = 96  # pixels
QUALITY = 90


def small(path: Path) -> bytes:
    """The photo as it is shipped."""
    with Image.open(path) as photo:
        upright = ImageOps.exif_transpose(photo).convert("RGB")
    held = io.BytesIO()
    upright.resize((SIDE, SIDE), Image.Resampling.BILINEAR).save(held, "JPEG", quality=QUALITY, optimize=True)
    return held.getvalue()


def candidates(model, photos: Path, label: str) -> list[tuple[float, str, bytes]]:
    """Probability, class and photo as it would be shipped, of one class, those of middling probability first."""
    files = [small(path) for path in sorted((photos / "test" / label).glob("*.jpg"))]
    answers = list(model.predict(files))
    right = [n for n, answer in enumerate(answers) if answer.label == label and not answer.unknown]
    shares = np.array([answers[n].score for n in right])
    middle = np.argsort(np.abs(shares - np.median(shares)), kind="stable")
    return [(float(shares[n]), label, files[right[n]]) for n in middle]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    photos = parser.parse_args().photos
    model = nin.load("nin-clothing")
    found = {label: candidates(model, photos, label) for label in model.classes}
    most = sorted(found, key=lambda label: -len(found[label]))[: COUNT - len(found)]
    chosen = sorted([each[0] for each in found.values()] + [found[label][1] for label in most], reverse=True)
    OUT.mkdir(exist_ok=True)
    for number, (_, _, data) in enumerate(chosen):
        (OUT / f"{number}.jpg").write_bytes(data)
    told = {
        "credit": "clothing-dataset-small, CC0",
        "licence": "CC0-1.0",
        "source": "github.com/alexeygrigorev/clothing-dataset-small, the test split; chosen by examples.py",
        "pictures": [{"file": f"{number}.jpg", "label": label} for number, (_, label, _) in enumerate(chosen)],
    }
    (OUT / "credits.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    print(f"{len(chosen)} photos, {sum(len(data) for *_, data in chosen):,} bytes")


if __name__ == "__main__":
    main()
