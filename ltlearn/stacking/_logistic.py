"""Multinomial logistic regression for long-tailed classes."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from ltlearn.stacking._softmax import fit_softmax
from ltlearn.stacking._tuned import TunedHead, grid_of
from ltlearn.utils._compat import Interval, StrOptions

POWERS = (1.0, 0.5)
# Embeddings need a strong penalty, and few columns a weak one.
MANY_COLUMNS = 128
PENALTIES_OF_MANY, PENALTIES_OF_FEW = (0.001, 0.01, 0.1), (0.01, 0.1, 1.0, 10.0)


class TailLogisticClassifier(TunedHead):
    """Logistic regression with logit adjustment, all of it chosen by held-out rows.

    On frozen features, multinomial logistic regression whose log class shares are taken off its
    logits [1]_ is what methods for long-tailed classes have to beat. This one chooses the penalty,
    the scale of the columns and how much of the log class shares to take off by the class-balanced
    cross-entropy of held-out rows.

    Parameters
    ----------
    C : "auto", float or sequence of float, default="auto"
        Inverse strength of the penalty on the weights of standardized columns; of several, the one
        with the least loss of held-out rows. ``"auto"`` tries 0.001, 0.01 and 0.1 with more than
        128 columns, else 0.01, 0.1, 1 and 10.
    power : "auto", float or sequence of float, default="auto"
        Exponent p of ``sign(x) |x|^p``, taken of the columns before they are standardized, and
        chosen likewise. ``"auto"`` tries 1 and 0.5: the root gains on features that are averages
        of ReLUs, which have long right tails.
    n_components : int or None, default=256
        With more columns, so many principal components of the standardized columns take their
        place, which loses nothing that held-out rows can tell and saves most of the time; None
        keeps all columns.
    max_iter : int, default=300
        Most iterations of the solver.
    max_auxiliary_samples : int, default=50
        Most rows used of an auxiliary class.
    calibrate : bool, default=True
        Whether a factor of the logits and τ are fitted to the held-out rows. Without it τ is 1,
        and with settings that leave no choice nothing is held out.
    cv : int, splitter or iterable, default=3
        Folds, or how rows are held out; a number takes
        :class:`~ltlearn.model_selection.RareClassStratifiedKFold`, shuffled.
    prior : {"balanced", "train"} or array-like of shape (n_classes,), default="balanced"
        Class shares that predictions refer to: all the same, those of the training rows, or
        positive numbers of your own in the order of ``classes_``. May be changed by ``set_params``
        after fitting.
    n_jobs : int, default=None
        Folds fitted at the same time.
    random_state : int, RandomState instance or None, default=None
        Deals rows out to the folds and draws auxiliary rows.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Target classes.
    class_counts_ : ndarray of shape (n_classes,)
        Rows of each target class, those of weight 0 not.
    C_, power_ : float
        The settings chosen.
    factor_, tau_ : float
        What the logits at balanced classes are multiplied by, and the multiple of the log class
        counts that is taken off them in addition.
    held_out_loss_ : float
        Class-balanced cross-entropy of the held-out rows; NaN where none were held out.
    n_iter_ : int
        Iterations of the solver in the last fit.
    prediction_prior_ : ndarray of shape (n_classes,)
        Class shares that probabilities refer to.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, when X has string column names.

    See Also
    --------
    ltlearn.calibration.LogitAdjuster : Logit adjustment of any classifier.
    TailStackingClassifier : Combines it with other heads.

    Notes
    -----
    Auxiliary classes are further classes of the softmax in training and dropped at prediction.

    References
    ----------
    .. [1] Menon et al., "Long-Tail Learning via Logit Adjustment", ICLR 2021, equation 9.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from ltlearn import TailLogisticClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> rare = np.flatnonzero(y == 8)[5:]
    >>> train = np.setdiff1d(np.arange(0, len(y), 2), rare)
    >>> model = TailLogisticClassifier(power=1, random_state=0).fit(X[train], y[train])
    >>> model.C_ in (0.01, 0.1, 1, 10), model.predict_proba(X[rare[:2]]).shape
    (True, (2, 10))
    """

    _parameter_constraints: dict = {
        **TunedHead._parameter_constraints,
        "C": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither"), list, tuple],
        "power": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither"), list, tuple],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "max_auxiliary_samples": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        *,
        C: float | Sequence[float] | Literal["auto"] = "auto",
        power: float | Sequence[float] | Literal["auto"] = "auto",
        n_components: int | None = 256,
        max_iter: int = 300,
        max_auxiliary_samples: int = 50,
        calibrate: bool = True,
        cv: Any = 3,
        prior: Literal["balanced", "train"] | ArrayLike = "balanced",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.C = C
        self.power = power
        self.n_components = n_components
        self.max_iter = max_iter
        self.max_auxiliary_samples = max_auxiliary_samples
        self.calibrate = calibrate
        self.cv = cv
        self.prior = prior
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _settings(self, n_features):
        penalties = PENALTIES_OF_MANY if n_features > MANY_COLUMNS else PENALTIES_OF_FEW
        penalties = grid_of(self.C, penalties, "C", np.finfo(float).tiny, np.inf)
        powers = grid_of(self.power, POWERS, "power", np.finfo(float).tiny, np.inf)
        return [{"C": C, "power": p} for p in powers for C in penalties]

    @property
    def n_iter_(self):
        check_is_fitted(self)
        return self._model.n_iter

    def _fit_scaled(self, rows, auxiliary, settings, seed):
        X, codes, weight, n_classes = rows.X, rows.codes, rows.weight, rows.n_classes
        if auxiliary is not None and self.max_auxiliary_samples:
            drawn = draw_rows(auxiliary.codes, self.max_auxiliary_samples, seed)
            X = np.concatenate([X, auxiliary.X[drawn].astype(X.dtype)])
            codes = np.concatenate([codes, n_classes + auxiliary.codes[drawn]])
            n_classes += auxiliary.codes.max() + 1
            if weight is not None:
                weight = np.concatenate([weight, np.ones(len(drawn))])
        models, weights = {}, None
        # From the strongest penalty on, each solution is near the next.
        for C in sorted({setting["C"] for setting in settings}):
            weights, n_iter = fit_softmax(
                X, codes, n_classes, weight, C=C, start=weights, max_iter=self.max_iter
            )
            models[C] = LogisticModel(weights, n_iter, rows)
        return [models[setting["C"]] for setting in settings]


class LogisticModel:
    """Logits of the target classes at balanced classes."""

    def __init__(self, weights, n_iter, rows):
        self.n_iter = n_iter
        self.coefficients = weights[:-1, : rows.n_classes].astype(rows.X.dtype)
        self.intercepts = weights[-1, : rows.n_classes] - np.log(rows.counts)

    def scores(self, X):
        return (X @ self.coefficients).astype(np.float64) + self.intercepts


def draw_rows(codes, n_most, seed):
    """Numbers of at most ``n_most`` rows of every class, at random."""
    order = np.random.default_rng(seed).permutation(len(codes))
    order = order[np.argsort(codes[order], kind="stable")]
    first = np.searchsorted(codes[order], np.arange(codes.max() + 1))
    position = np.arange(len(order)) - first[codes[order]]
    return np.sort(order[position < n_most])
