"""The 26 claims in order: the words of claims.toml and the measurement of each."""

import tomllib
from collections.abc import Callable
from importlib import resources
from typing import Any

from nin.claims import counted, exact, learned, maps
from nin.claims.claim import Claim, Measurement
from nin.claims.small_trainings import Workbench

MEASURES: tuple[Callable[[Workbench], Measurement], ...] = (
    exact.linear_or_not,
    learned.more_maps,
    exact.slid_perceptron,
    learned.inner_activations,
    counted.fewer_parameters,
    learned.stacked,
    counted.no_fully_connected_layer,
    learned.gap_classifies,
    learned.overfits_less,
    counted.cheaper_head,
    counted.classic_shares,
    learned.dropout_places,
    counted.googlenet_has_both,
    learned.channel_reduction,
    maps.gathered,
    learned.deeper_for_the_same,
    maps.condensed,
    exact.pointwise_is_linear,
    exact.four_to_two,
    exact.flattened,
    counted.converted,
    exact.maps_for_filters,
    exact.up_and_down,
    exact.activated,
    maps.merged_units,
    maps.confidence_maps,
)


def words() -> dict[str, Any]:
    """The content of claims.toml."""
    return tomllib.loads(resources.files("nin.claims").joinpath("claims.toml").read_text(encoding="utf-8"))


def all_claims() -> tuple[Claim, ...]:
    """All claims, each with its words and its measurement."""
    pairs = zip(words()["claims"], MEASURES, strict=True)
    return tuple(Claim(**sentences, measure=measure) for sentences, measure in pairs)
