"""Further fits of the two sides of a report, which differ from them in the random state alone."""

import time
import warnings
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from sklearn.pipeline import Pipeline

from ltlearn.evaluation._fitting import fit, seeded_clone, uses_validation
from ltlearn.evaluation._outcomes import Target
from ltlearn.evaluation._provenance import (
    differing_records,
    is_stranger,
    predicts_otherwise,
    strange_records,
)
from ltlearn.exceptions import RefitWarning
from ltlearn.utils._fitted import find_fitted
from ltlearn.utils._text import without_addresses

AUTO_REFITS = 5
BUDGET_SECONDS = 120  # of "auto", for both sides together
_LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Rows to refit on; ``X_val`` and ``y_val`` may be None."""

    X: Any
    y: Any
    X_val: Any
    y_val: Any
    bin_centers: Any

    def fit(self, model, params, with_validation=True):
        """Fit ``model``, to distributions if it learns them; return it and the seconds taken."""
        start = time.perf_counter()
        X_val = self.X_val if with_validation else None
        y_val = None if X_val is None else self._labels(self.y_val, model)
        model = fit(model, self.X, self._labels(self.y, model), X_val, y_val, params)
        return model, time.perf_counter() - start

    def _labels(self, y, model):
        return Target.from_labels(y, model, self.bin_centers).labels_for(model)


@dataclass(eq=False)
class Side:
    """The estimator or the baseline of a report.

    Attributes
    ----------
    name : {"estimator", "baseline"}
    model : fitted estimator
    params : dict
        Arguments of its ``fit``.
    seconds : float
        That it took to fit, as far as is known.
    is_ours : bool
        Whether the report fitted it, on the training rows.
    with_validation : bool
        Whether its fits get the validation rows.
    is_fixed : bool
        Whether no seed changes it.
    """

    name: str
    model: Any
    params: dict = field(default_factory=dict)
    seconds: float = 0.0
    is_ours: bool = False
    with_validation: bool = True
    is_fixed: bool = False

    def __post_init__(self):
        self.seconds = self.seconds or recorded_seconds(self.model)

    def refit(self, training, seed):
        """Another fit, with ``seed`` in the place of every random state."""
        model = seeded_clone(self.model, seed)
        model, self.seconds = training.fit(model, self.params, self.with_validation)
        return model


class CannotRefit(Exception):
    """Why not, as a clause."""


class NotItsRows(CannotRefit):
    """A side seems to have been fitted otherwise; with the evidence, as a clause."""

    def __init__(self, side, evidence):
        super().__init__(f"the {side.name} could not be refitted as it was fitted")
        self.advice = (
            f"The {side.name} does not seem to have been fitted to X_train and y_train alone: "
            f"{evidence}. Pass the rows that it was fitted to and, if fit took more, such as "
            f'sample_weight or X_aux, fit_params={{"{side.name}": {{...}}}}.'
        )


def fits_of_sides(sides, training, n_refits, observe, rng):
    """Observe both sides and their refits.

    Parameters
    ----------
    sides : sequence of Side
    training : TrainingRows or None
    n_refits : int or "auto"
    observe : callable
        Maps a fitted model to an observation whose first element is the test Outcome.
    rng : numpy.random.Generator

    Returns
    -------
    observations : list of list
        Of each side: of the model given, then of its refits.
    covers_seeds : bool
        Whether these fits show what seeds change.
    note : str
        Which fits there are, or why there are no more.
    """
    given = [[observe(side.model)] for side in sides]
    if training is None:
        return given, False, _only_two("pass X_train and y_train to have both refitted")
    try:
        for side in sides:
            evidence = None if side.is_ours else strange_records(side.model, training.X, training.y)
            if evidence:
                raise NotItsRows(side, evidence)
        if n_refits == 0:
            return given, False, _only_two("n_refits=5 refits both")
        observations = _refit(sides, training, n_refits, observe, given, rng)
    except CannotRefit as reason:
        if isinstance(reason, NotItsRows):
            _warn(reason.advice)
        return given, False, _only_two(str(reason))
    except Exception as error:
        if n_refits != "auto":
            raise
        _warn(
            "Refitting failed, which n_refits=0 leaves out: "
            + without_addresses(f"{type(error).__name__}: {error}")
        )
        return given, False, _only_two("refitting failed")
    return observations, True, _describe(sides, observations)


def _warn(reason):
    warnings.warn(
        f"The report speaks of these two fits alone. {reason}", RefitWarning, stacklevel=5
    )


def best_of_search(estimator):
    """The best estimator of a fitted search, also at the end of a pipeline; else the estimator."""
    if isinstance(estimator, Pipeline):
        *head, (name, last) = estimator.steps
        best = best_of_search(last)
        if best is last:
            return estimator
        estimator = copy(estimator)
        estimator.steps = [*head, (name, best)]
        return estimator
    if getattr(estimator, "refit", True) is False and hasattr(estimator, "cv_results_"):
        raise ValueError(
            f"{type(estimator).__name__} with refit=False has no best_estimator_ to report on."
        )
    return getattr(estimator, "best_estimator_", estimator)


def recorded_seconds(model):
    """Seconds that training took by the fitted model's own ``history_``, or 0."""
    fitted = find_fitted(model, "history_")
    if fitted is None:
        return 0.0
    return float(sum(row.get("dur", 0.0) for row in fitted.history_ if isinstance(row, dict)))


def has_random_state(model):
    """Whether a parameter of the model, nested ones included, is a random state."""
    return any(name.split("__")[-1] == "random_state" for name in model.get_params())


def _refit(sides, training, n_refits, observe, given, rng):
    automatic = n_refits == "auto"
    n_refits = AUTO_REFITS if automatic else n_refits
    seeds = iter(rng.integers(_LARGEST_SEED, size=2 * n_refits).tolist())
    observations = [list(observed) for observed in given]
    for side, observed in zip(sides, observations, strict=True):
        if automatic:
            _check_budget(sides, n_refits)
        side.is_fixed = not has_random_state(side.model)
        if side.is_fixed and side.is_ours:
            continue
        refitted = observe(_first_refit(side, training, next(seeds)))
        if not side.is_fixed:
            observed.append(refitted)
        elif predicts_otherwise(observed[0][0], refitted[0]):
            raise NotItsRows(side, "fitted once more, it predicts otherwise")
    if automatic:
        _check_budget(sides, n_refits)
    for side, observed in zip(sides, observations, strict=True):
        if side.is_fixed:
            continue
        observed += [observe(side.refit(training, next(seeds))) for _ in range(n_refits - 1)]
        if not side.is_ours and is_stranger([outcome for outcome, *_ in observed]):
            raise NotItsRows(side, "its refits are more like each other than like it")
    return observations


def _first_refit(side, training, seed):
    """Refit as the model was fitted: without the validation rows, if its records tell so."""
    refitted = side.refit(training, seed)
    if side.is_ours:
        return refitted
    differing = differing_records(side.model, refitted)
    if differing and training.X_val is not None and uses_validation(side.model):
        side.with_validation = False
        refitted = side.refit(training, seed)
        differing = differing_records(side.model, refitted)
    if differing:
        raise NotItsRows(side, f"a refit has other {', '.join(differing)}")
    return refitted


def _check_budget(sides, n_refits):
    seconds = n_refits * sum(side.seconds for side in sides if not side.is_fixed)
    if seconds > BUDGET_SECONDS:
        raise CannotRefit(
            f"n_refits={n_refits} refits both, in about {max(round(seconds / 60), 2)} minutes"
        )


def _only_two(way_out):
    return (
        "Seeds are not counted: the intervals are those of these two fits on other test rows, and "
        f"fits with another random_state may differ as much as these ({way_out})."
    )


def _describe(sides, observations):
    counted = [
        f"{len(observed)} of the {side.name}"
        + (", which no random_state changes" if side.is_fixed else "")
        for side, observed in zip(sides, observations, strict=True)
    ]
    return (
        f"Values are means over fits that differ in random_state alone, {' and '.join(counted)}; "
        "intervals count other seeds and other test rows."
    )
