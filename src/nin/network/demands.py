"""What a configuration asks of a machine, by arithmetic alone: shapes of weights, sides of maps, memory and work.

A file can say anything; what it says is held against these before memory is taken or anything is computed (torch-free).
"""

from collections.abc import Mapping

from nin.network.config import BlockConfig, NINConfig, SettingError, pool_side

MOST_BYTES = 2**30  # of maps for one picture: the author's ImageNet network has 7 MB
MOST_MACS = 10**12  # for one picture: the author's ImageNet network has 10**9
_NORM = ("weight", "bias", "running_mean", "running_var")
Shape = tuple[int, ...]


def weight_shapes(config: NINConfig) -> dict[str, Shape]:
    """The shape of every weight of a network by its name in the state dict, normalisation's counters too."""
    shapes: dict[str, Shape] = {}
    for index, (width, block) in enumerate(zip(config.block_inputs, config.blocks, strict=True)):
        before = width // block.groups
        for layer, channels in enumerate(block.channels):
            place = f"blocks.{index}.{f'pointwise.{layer - 1}' if layer else 'spatial'}"
            sides = (1, 1) if layer else (block.kernel_size,) * 2
            final = index == len(config.blocks) - 1 and layer == len(block.channels) - 1
            shapes[f"{place}.weight"] = (channels, before, *sides)
            if config.norm is None or (final and not config.last_norm):
                shapes[f"{place}.bias"] = (channels,)
            else:
                norm = f"blocks.{index}.norms.{layer}"
                shapes |= {f"{norm}.{part}": (channels,) for part in _NORM}
                shapes[f"{norm}.num_batches_tracked"] = ()
            before = channels
    return shapes


def expect_weights(config: NINConfig, found: Mapping[str, Shape]) -> None:
    """Raise SettingError unless there are exactly the weights of the network, each in its shape."""
    wanted = weight_shapes(config)
    for name, shape in wanted.items():
        if name not in found:
            raise SettingError(f"it has no weights {name}, which its settings ask for")
        if found[name] != shape:
            has, asked = (" x ".join(map(str, each)) or "1" for each in (found[name], shape))
            raise SettingError(f"its weights {name} are {has}, where its settings ask for {asked}")
    more = next((name for name in found if name not in wanted), None)
    if more is not None:
        raise SettingError(f"it has the weights {more}, which its settings do not ask for")


def expect_modest(config: NINConfig, size: tuple[int, int]) -> None:
    """Raise SettingError where pictures of a size (H, W) leave no maps, or one takes too much memory or work."""
    sides = size
    views = 2 if config.mirror else 1
    total = macs = 0
    for index, (width, block) in enumerate(zip(config.block_inputs, config.blocks, strict=True)):
        padded = _area(sides, block.pad) * width
        sides = block.conv_side(sides[0]), block.conv_side(sides[1])
        if min(sides) < 1:
            raise SettingError(f"block {index + 1} leaves nothing of {size[0]} x {size[1]} pixels")
        total += 4 * views * (padded + sum(block.channels) * sides[0] * sides[1])
        macs += views * config.block_weights[index] * sides[0] * sides[1]
        sides, pooled = _after_pool(block, sides)
        total += views * pooled
        if min(sides) < 1:
            raise SettingError(f"the pooling of block {index + 1} leaves nothing of {size[0]} x {size[1]} pixels")
        for what, count, most in (("bytes for its maps", total, MOST_BYTES), ("multiply-adds", macs, MOST_MACS)):
            if count > most:
                asked = f"more than {most:,} {what}"
                raise SettingError(f"one picture of {size[0]} x {size[1]} pixels takes {asked} by block {index + 1}")


def _after_pool(block: BlockConfig, sides: tuple[int, int]) -> tuple[tuple[int, int], int]:
    """Sides after a block's pooling, under 1 where a window does not fit, and the bytes of what it reads."""
    if block.pool is None:
        return sides, 0
    how = block.pool_size, block.pool_stride, block.pool_padding, block.pool_ceil
    reads = 4 * _area(sides, block.pool_padding) * block.channels[-1]
    return (pool_side(sides[0], *how), pool_side(sides[1], *how)), reads


def _area(sides: tuple[int, int], padding: int) -> int:
    return (sides[0] + 2 * padding) * (sides[1] + 2 * padding)
