"""Any network at all, for tests that must hold for every one (hypothesis)."""

from hypothesis import strategies as st

from nin.network.config import ACTIVATIONS, DROPOUT_KINDS, BlockConfig, NINConfig


@st.composite
def any_network(draw) -> NINConfig:
    """A network with every setting that a configuration has, in any combination that is one."""
    in_channels, num_classes, count = draw(st.integers(1, 4)), draw(st.integers(1, 30)), draw(st.integers(1, 4))
    init = draw(st.sampled_from(["kaiming", "normal", "torch"]))
    blocks, width = [], in_channels
    for index in range(count):
        last = index == count - 1
        groups = draw(st.sampled_from([number for number in (1, 2, 3) if width % number == 0]))
        first = groups * draw(st.integers(1, 9))
        more = draw(st.lists(st.integers(1, 40), min_size=0, max_size=3))
        channels = (first, *more, num_classes) if last else (first, *more)
        blocks.append(draw(_block(channels, groups, last, init == "normal")))
        width = channels[-1]
    last_activation, last_norm = draw(st.booleans()), draw(st.booleans())
    return NINConfig(
        draw(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12)),
        tuple(blocks),
        num_classes,
        in_channels,
        norm=draw(st.sampled_from([None, "batch"])),
        activation=draw(st.sampled_from(sorted(ACTIVATIONS))),
        last_activation=last_activation,
        last_norm=last_norm,
        dropout_kind=draw(st.sampled_from(DROPOUT_KINDS)),
        init=init,
        mirror=draw(st.booleans()) and not (last_activation or last_norm),
    )


@st.composite
def _block(draw, channels: tuple[int, ...], groups: int, last: bool, drawn: bool) -> BlockConfig:
    pool_size = draw(st.integers(1, 4))
    stds = st.floats(1e-12, 1e3, allow_nan=False)
    return BlockConfig(
        channels,
        draw(st.integers(1, 7)),
        stride=draw(st.integers(1, 3)),
        padding=draw(st.none() | st.integers(3, 6)),  # enough that small pictures are not used up
        groups=groups,
        pool=None if last else draw(st.sampled_from([None, "max", "avg"])),
        pool_size=pool_size,
        pool_stride=draw(st.integers(1, 3)),
        pool_padding=draw(st.integers(0, pool_size // 2)),
        pool_ceil=draw(st.booleans()),
        dropout=0.0 if last else draw(st.just(0.0) | st.floats(0, 1, exclude_max=True)),
        init_std=tuple(draw(stds) for _ in channels) if drawn or draw(st.booleans()) else None,
    )
