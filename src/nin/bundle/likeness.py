"""How far a picture is from what a model was trained on: the distance of its mean features to the nearest class mean.

Mean features are the means of the maps that the last 1x1 layer reads. The distance is Mahalanobis', with one covariance
within all classes (Lee et al. 2018, arXiv 1807.03888), which is shrunk (Ledoit and Wolf 2004): so it exists for a few
pictures, too. A model has all this in a file of its own. (torch-free)
Legend: N pictures, K classes, F features.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nin.errors import ModelError

FINEST = 1e-3  # of the features' root mean square: no standard deviation is taken for less; float32 and eight bits blur
_NAMES = ("means", "directions", "scales")


@dataclass(frozen=True, eq=False)
class Likeness:
    """What is known of the training pictures' mean features.

    means (K, F) float32. directions (F, F) float16: columns, the covariance's eigenvectors; scales (F,) float32: one
    over the standard deviation along each. Half precision moves no distance by a thousandth (tested), and halves them.
    """

    means: np.ndarray
    directions: np.ndarray
    scales: np.ndarray

    @cached_property
    def centre(self) -> np.ndarray:
        """(F,) float32, taken from all features first, so that float32 is fine enough for the rest."""
        centre: np.ndarray = self.means.mean(0, dtype=np.float64)
        return centre.astype(np.float32)

    @cached_property
    def factor(self) -> np.ndarray:
        """(F, F) float32: features less the centre times this have covariance 1 within every class."""
        return np.asarray(self.directions.astype(np.float32) * self.scales)

    @cached_property
    def places(self) -> np.ndarray:
        """(K, F) float32: where `factor` takes the class means."""
        centred = self.means.astype(np.float64) - self.centre
        return np.asarray(centred @ self.factor.astype(np.float64), np.float32)

    @cached_property
    def halves(self) -> np.ndarray:
        """(K,) float32: half the squared lengths of `places`; the nearest has the largest product less its half."""
        return np.asarray(np.square(self.places, dtype=np.float64).sum(1) / 2, np.float32)

    def distances(self, features: np.ndarray) -> np.ndarray:
        """(N, F) mean features -> (N,) float32, the distance of each to the nearest class mean."""
        with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
            at = (np.asarray(features, np.float32) - self.centre) @ self.factor  # (N, F)
            nearest = (at @ self.places.T - self.halves).argmax(1)  # (N, K) -> (N,)
            return np.asarray(np.sqrt(np.square(at - self.places[nearest]).sum(1)))

    def tensors(self) -> dict[str, np.ndarray]:
        """By name, for a file; `from_tensors` reads them back."""
        return {name: getattr(self, name) for name in _NAMES}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, np.ndarray], classes: int, features: int) -> "Likeness":
        """What a file holds, for a network of so many classes and features; ModelError when it does not fit."""
        shapes = dict(zip(_NAMES, ((classes, features), (features, features), (features,)), strict=True))
        found = {name: (array.shape, array.dtype.name) for name, array in tensors.items()}
        wanted = {n: (shapes[n], "float16" if n == "directions" else "float32") for n in _NAMES}
        if found != wanted:
            raise ModelError(f"the class means and their covariance are not those of {classes} classes of {features}")
        like = cls(*(tensors[name] for name in _NAMES))
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = (*tensors.values(), like.centre, like.factor, like.places, like.halves)
            if not all(np.isfinite(array).all() for array in numbers) or not (like.scales > 0).all():
                raise ModelError("the class means and their covariance are not usable numbers")
        return like


def fit_likeness(features: np.ndarray, labels: np.ndarray, classes: int) -> Likeness | None:
    """Class means and covariance of mean features (N, F) with labels (N,).

    None where nothing can be fitted: a class without a picture, no class with two, features all equal or not finite.
    """
    values = np.asarray(features, np.float64)
    counts = np.bincount(labels, minlength=classes)
    if not counts.all() or len(values) <= classes or not np.isfinite(values).all():
        return None
    means = np.zeros((classes, values.shape[1]))
    np.add.at(means, labels, values)
    means = (means / counts[:, None]).astype(np.float32)  # (K, F)
    variances, directions = np.linalg.eigh(_shrunk(values - means[labels], len(values) - classes))
    least = (FINEST * np.sqrt(np.square(values).mean())) ** 2
    if not least > np.finfo(np.float32).tiny or variances.max() <= 0:
        return None
    scales = 1 / np.sqrt(np.maximum(variances, 0) + least)
    return Likeness(means, directions.astype(np.float16), scales.astype(np.float32))


def _shrunk(centred: np.ndarray, freedom: int) -> np.ndarray:
    """The covariance (F, F) of values (N, F) less their class's mean, drawn towards equal variances as far as its own
    uncertainty asks (Ledoit and Wolf 2004, section 3.3). freedom: N less the number of means that were taken."""
    count, width = centred.shape
    covariance = centred.T @ centred / count  # (F, F)
    usual = np.trace(covariance) / width  # the mean variance
    away = np.square(covariance).sum() - width * usual**2  # squared distance from equal variances
    blur = (np.square(np.square(centred).sum(1)).sum() / count - np.square(covariance).sum()) / count
    share = 1.0 if away <= 0 else min(max(blur, 0.0) / away, 1.0)
    shrunk = (1 - share) * covariance + share * usual * np.eye(width)
    return np.asarray(shrunk * (count / freedom))
