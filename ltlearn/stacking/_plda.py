"""Two-covariance probabilistic linear discriminant analysis."""

from collections.abc import Sequence
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import eigh, svd

from ltlearn.stacking._tuned import TunedHead, grid_of
from ltlearn.utils._compat import Interval, StrOptions

SHRINKAGES = (0.3, 0.6, 0.9, 0.97)
POWERS = (1.0, 0.5)
# Rows of a class from which on its mean counts in full for the prior of class means.
_MEAN_RELIABILITY = 10.0
# Share of the mean variance that the variance between classes is pulled to along every axis.
_BETWEEN_SHRINKAGE = 0.1


class PLDAClassifier(TunedHead):
    """Gaussian classes whose uncertain means do not count against rare classes.

    Linear discriminant analysis compares a row with the mean of each class, as if the means were
    known. The mean of a class of n rows in d dimensions is off by d / n in squared whitened
    distance, so rare classes lose. The two-covariance model [1]_ takes class means for draws from a
    Gaussian of their own: it pulls the mean of a class of few rows towards the middle and widens
    the density with which the class predicts, as far as its number of rows asks for.

    Weak alone where rows are many, it errs unlike other heads, which is what
    :class:`TailStackingClassifier` uses it for. There is nothing to train by gradients: a fit is
    an eigendecomposition.

    Parameters
    ----------
    shrinkage : "auto", float or sequence of float, default="auto"
        How far the covariance within classes is pulled to a multiple of the identity, in [0, 1];
        of several, the one with the least loss of held-out rows. ``"auto"`` tries 0.3, 0.6, 0.9
        and 0.97.
    power : "auto", float or sequence of float, default="auto"
        Exponent p of ``sign(x) |x|^p``, taken of the columns before they are standardized, and
        chosen likewise. ``"auto"`` tries 1 and 0.5.
    n_components : int or None, default=256
        With more columns, so many principal components of the standardized columns take their
        place: where rows are fewer than columns, directions of little variance hold more noise
        than signs of the classes. None keeps all columns.
    calibrate : bool, default=True
        Whether a factor of the scores and a multiple τ of the log class counts are fitted to the
        held-out rows. Without it, and with settings that leave no choice, nothing is held out.
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
        Deals rows out to the folds.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Target classes.
    class_counts_ : ndarray of shape (n_classes,)
        Rows of each target class, those of weight 0 not.
    shrinkage_, power_ : float
        The settings chosen.
    factor_, tau_ : float
        What the scores are multiplied by, and the multiple of the log class counts that is taken
        off them.
    held_out_loss_ : float
        Class-balanced cross-entropy of the held-out rows; NaN where none were held out.
    prediction_prior_ : ndarray of shape (n_classes,)
        Class shares that probabilities refer to.
    n_features_in_ : int
        Number of columns seen in fit.
    feature_names_in_ : ndarray of shape (``n_features_in_``,)
        Names of the columns, when X has string column names.

    See Also
    --------
    TailStackingClassifier : Combines it with other heads.
    sklearn.discriminant_analysis.LinearDiscriminantAnalysis : The same with known means.

    Notes
    -----
    Rows are whitened by the shrunken covariance around the mean of the class means and scaled to
    length :math:`\\sqrt d` [2]_. Class means :math:`\\bar x_c` of n rows, weighted by n / (n + 10),
    give axes and the variance :math:`\\psi` between classes along each, less what the noise of the
    means adds. Along an axis, a class with n rows then predicts a row z by a Gaussian,

    .. math:: z \\mid c \\sim N\\Big(\\frac{n\\psi}{n\\psi + 1}\\,\\bar x_c,\\;
        1 + \\frac{\\psi}{n\\psi + 1}\\Big)

    Auxiliary classes count in the covariance and in :math:`\\psi`, not among the predictions.

    References
    ----------
    .. [1] S. Ioffe, "Probabilistic Linear Discriminant Analysis", ECCV 2006.
    .. [2] D. Garcia-Romero and C. Y. Espy-Wilson, "Analysis of i-vector Length Normalization in
       Speaker Recognition Systems", Interspeech 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from ltlearn import PLDAClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> rare = np.flatnonzero(y == 4)[3:]
    >>> train = np.setdiff1d(np.arange(0, len(y), 2), rare)
    >>> model = PLDAClassifier(random_state=0).fit(X[train], y[train])
    >>> bool(np.mean(model.predict(X[rare]) == 4) > 0.5)
    True
    """

    _parameter_constraints: dict = {
        **TunedHead._parameter_constraints,
        "shrinkage": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both"), list, tuple],
        "power": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither"), list, tuple],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
    }

    def __init__(
        self,
        *,
        shrinkage: float | Sequence[float] | Literal["auto"] = "auto",
        power: float | Sequence[float] | Literal["auto"] = "auto",
        n_components: int | None = 256,
        calibrate: bool = True,
        cv: Any = 3,
        prior: Literal["balanced", "train"] | ArrayLike = "balanced",
        n_jobs: int | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.shrinkage = shrinkage
        self.power = power
        self.n_components = n_components
        self.calibrate = calibrate
        self.cv = cv
        self.prior = prior
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _settings(self, n_features):
        shrinkages = grid_of(self.shrinkage, SHRINKAGES, "shrinkage", 0, 1)
        powers = grid_of(self.power, POWERS, "power", np.finfo(float).tiny, np.inf)
        return [{"shrinkage": s, "power": p} for p in powers for s in shrinkages]

    def _fit_scaled(self, rows, auxiliary, settings, seed):
        space = WithinClasses(rows, auxiliary)
        return [PLDA(space, setting["shrinkage"]) for setting in settings]


class WithinClasses:
    """Rows in the axes of their covariance within classes, which no shrinkage turns.

    With more columns than rows, only the space that the rows span is kept; of what other rows have
    outside of it, the squared length is all that counts.
    """

    def __init__(self, rows, auxiliary):
        X = rows.X
        codes, weight, n_classes = rows.codes, rows.weight, rows.n_classes
        weight = np.ones(len(codes)) if weight is None else weight
        if auxiliary is not None:
            X = np.concatenate([X, auxiliary.X.astype(X.dtype)])
            codes = np.concatenate([codes, n_classes + auxiliary.codes])
            weight = np.concatenate([weight, np.ones(len(auxiliary.codes))])
        self.n_target = n_classes
        self.counts = np.bincount(codes, weight)
        self.codes, self.weight = codes, weight
        self.center = self._class_means(X)[:n_classes].mean(axis=0)
        X = X - self.center
        self.n_columns = X.shape[1]
        self.basis = None
        if len(X) < self.n_columns:
            _, length, basis = svd(X, full_matrices=False)
            kept = length > length[:1] * np.finfo(X.dtype).eps * self.n_columns
            self.basis = basis[kept].T if kept.any() else basis[:1].T
            X = X @ self.basis
        residuals = X - self._class_means(X)[codes]
        covariance = (residuals * weight[:, None]).T @ residuals / weight.sum()
        self.variance, self.axes = eigh(covariance)
        self.variance = np.maximum(self.variance, 0)
        self.mean_variance = self.variance.sum() / self.n_columns or 1.0
        self.X = X @ self.axes

    def _class_means(self, X):
        totals = np.zeros((len(self.counts), X.shape[1]))
        np.add.at(totals, self.codes, X * self.weight[:, None])
        return totals / self.counts[:, None]

    def shrunken(self, shrinkage):
        """Variances along the axes, and of all other directions."""
        target = shrinkage * self.mean_variance
        variance = (1 - shrinkage) * self.variance + target
        # Without shrinkage, directions in which the classes do not vary at all would be infinite.
        smallest = 1e-6 * self.mean_variance
        return np.maximum(variance, smallest), max(target, smallest)

    def project(self, X):
        """Rows in the axes (n, r), and their squared length in all other directions (n,)."""
        X = X - self.center
        if self.basis is None:
            return X @ self.axes, 0.0
        within = X @ self.basis
        rest = np.maximum((X**2).sum(axis=1) - (within**2).sum(axis=1), 0)
        return within @ self.axes, rest


class PLDA:
    """The model of one shrinkage.

    Attributes
    ----------
    axes : ndarray of shape (r, a)
        Axes of the class means, in whitened coordinates.
    between : ndarray of shape (a,)
        Variance ψ between classes along each.
    mean, variance : ndarray of shape (K, a)
        Of the Gaussians with which the classes predict.
    """

    def __init__(self, space, shrinkage):
        self.space = space
        self.within, self.outside = space.shrunken(shrinkage)
        rows = self._normalized(space.X, 0.0)
        means = np.zeros((len(space.counts), rows.shape[1]))
        np.add.at(means, space.codes, rows * space.weight[:, None])
        counts = space.counts[:, None]
        means /= counts
        trust = counts / (counts + _MEAN_RELIABILITY)
        trust /= trust.sum()
        _, spread, axes = svd(np.sqrt(trust) * means, full_matrices=False)
        between = np.maximum(spread**2 - (trust / counts).sum(), 0)
        self.between = (1 - _BETWEEN_SHRINKAGE) * between + _BETWEEN_SHRINKAGE * between.mean()
        self.axes = axes.T
        counts = counts[: space.n_target]
        posterior = self.between / (counts * self.between + 1)
        self.mean = counts * posterior * (means[: space.n_target] @ self.axes)
        self.variance = 1 + posterior
        space_only = {k: v for k, v in vars(space).items() if k not in ("X", "codes", "weight")}
        self.space = object.__new__(WithinClasses)
        vars(self.space).update(space_only)

    def _normalized(self, X, rest):
        X = X / np.sqrt(self.within)
        length = np.sqrt((X**2).sum(axis=1) + rest / self.outside)
        length = np.where(length > 0, length, 1.0)
        return X * (np.sqrt(self.space.n_columns) / length)[:, None]

    def scores(self, X):
        """Log densities (n, K) of the classes, up to a number for each row."""
        z = self._normalized(*self.space.project(X)) @ self.axes
        precision = 1 / self.variance
        distance = (
            (z**2) @ precision.T
            - 2 * z @ (self.mean * precision).T
            + (self.mean**2 * precision).sum(axis=1)
        )
        return -0.5 * (distance + np.log(self.variance).sum(axis=1))
