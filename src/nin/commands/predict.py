"""`nin predict`: what is in pictures, with probabilities, or "unknown" (torch-free)."""

from collections.abc import Callable, Iterator
from typing import Any

from nin.choices import chosen
from nin.commands.classifier import AtWork, Prediction, classifier
from nin.data.given import named_pictures
from nin.run.options import Device


def predict(
    model: AtWork, pictures: Any, *, device: str = "auto", say: Callable[[str], None] = lambda _: None
) -> Iterator[Prediction]:
    """Answer for pictures, in a stable order: one or many, in any form in which a program has them.

    pictures: paths, folders, globs or '-' (standard input); bytes and open files; Pillow's images; arrays (H, W) or
    (H, W, C) and tensors (C, H, W); a list or generator of these, see nin.data.given. Answers come as they are asked
    for, the first ones are computed now. `say` is told what computes.
    """
    device = chosen("device", device, Device)
    named = named_pictures(pictures)
    at_work = classifier(model, device)
    say(at_work.runner.in_words())
    return at_work.answer(named)
