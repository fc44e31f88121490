"""What `nin teach` gives where a class has few pictures, said before `nin train` begins (torch-free)."""

import numpy as np

from nin.data.splits import Source
from nin.run.beginning import begins_with
from nin.run.options import TrainOptions
from nin.run.run_folder import quote

MOST = 30  # pictures a class: so far it is measured
GAVE = {  # classes -> pictures of each -> accuracy on test photos of clothing in percent: experiments/2026-11-30-teach
    3: {5: 67, 10: 71, 20: 77, 30: 79},
    10: {5: 31, 10: 41, 20: 48, 30: 56},
}


def few_pictures_note(source: Source, options: TrainOptions, channels: int) -> str | None:
    """One line about `nin teach` where the training pictures are MOST a class or fewer; None where they are more, where
    the run begins with a trained model, and where that command, typed as it stands, might refuse them.

    channels: of the pictures as the network sees them.
    """
    if (
        begins_with(options)
        or options.divide
        or options.follow_links
        or options.skip_unreadable
        or channels not in (1, 3)
    ):
        return None
    labels = source.splits["train"].labels
    classes = len(source.classes)
    each = len(labels) / classes
    if each > MOST or np.bincount(labels, minlength=classes).min() == 0:
        return None
    kinds = min(GAVE, key=lambda known: abs(known - classes))
    count = min(GAVE[kinds], key=lambda known: abs(known - each))
    gave = f"it gave {GAVE[kinds][count]} % right on photos of {kinds} kinds of clothing, taught with {count} of each"
    return f"few pictures ({each:.0f} a class): nin teach {quote(source.path)} takes seconds; {gave}"
