"""`nin demo`: the whole way on the digits that come with scikit-learn."""

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from nin.choices import with_choices
from nin.commands.explain import explain
from nin.errors import UsageError
from nin.extras import need
from nin.run.options import Listener, TrainOptions
from nin.run.run_folder import expect_free, held, run_folder

if TYPE_CHECKING:
    from nin.run.run import RunResult

DEMO_SIDE = 32  # the 8x8 digits are enlarged so that their class maps are fine enough to look at
DEMO_EPOCHS = 20  # under three minutes on two cores without AVX-512, too: docs/log.md


def demo(options: TrainOptions | None = None, listener: Listener | None = None) -> "RunResult":
    """The whole journey on scikit-learn's 1,797 real handwritten digits: no data set needed, two or three minutes.

    Trains, reports, and explains one held-out digit of every class (explained/ in the run folder).
    """
    options = with_choices(options, {}, TrainOptions)
    options = replace(options, size=options.size or DEMO_SIDE, epochs=options.epochs or DEMO_EPOCHS)
    heard = listener or Listener()
    folder = run_folder(None, options)
    if {"RANK", "WORLD_SIZE"} & set(os.environ):
        raise UsageError("the demo runs in one process; start it without torchrun")
    with held(folder, heard, lambda place: expect_free(place, None, options)):
        need("torch", "resvg_py", "sklearn")
        from nin.data.formats.digits import open_digits
        from nin.run.course import start

        result = start(folder, open_digits(options.seed), options, heard)
        explain(folder, folder / "pictures", out=folder / "explained", device=options.device)
    return result
