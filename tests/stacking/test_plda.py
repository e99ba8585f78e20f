"""PLDA against dense Gaussians, limits that are known, and simulation."""

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.base import clone

from ltlearn import PLDAClassifier, Whole
from ltlearn.stacking._plda import PLDA, WithinClasses
from ltlearn.stacking._rows import Auxiliary, Rows
from ltlearn.stacking._scaling import Scaler


def draw_classes(counts, n_columns, seed=0, spread=2.0):
    """Gaussian classes of common covariance, with means drawn from a Gaussian."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(n_columns, n_columns))
    means = spread * rng.normal(size=(len(counts), n_columns)) @ mixing
    codes = np.repeat(np.arange(len(counts)), counts)
    return means[codes] + rng.normal(size=(len(codes), n_columns)) @ mixing, codes, means, mixing


def dense_log_density(z, rows, between):
    """Log density of z given rows of its class, by conditioning one joint Gaussian.

    Rows are a mean drawn from N(0, diag(between)) plus N(0, I).
    """
    n, a = len(rows), len(between)
    joint = np.kron(np.ones((n + 1, n + 1)), np.diag(between)) + np.eye((n + 1) * a)
    known, cross, own = joint[a:, a:], joint[:a, a:], joint[:a, :a]
    gain = np.linalg.solve(known, cross.T).T
    mean = gain @ rows.ravel()
    return multivariate_normal(mean, own - gain @ cross.T).logpdf(z)


@pytest.mark.parametrize(("counts", "n_columns"), [((7, 3, 1), 4), ((5, 4, 2, 1), 30)])
def test_scores_are_those_of_a_dense_gaussian(counts, n_columns):
    X, codes, _, _ = draw_classes(counts, n_columns)
    scale = Scaler(X)
    model = PLDA(WithinClasses(Rows(scale(X), codes, None, len(counts)), None), 0.4)
    X_new = draw_classes(counts, n_columns, seed=1)[0]

    def whitened(X):
        return model._normalized(*model.space.project(scale(X))) @ model.axes

    train, new = whitened(X), whitened(X_new)
    expected = np.array(
        [
            [dense_log_density(z, train[codes == c], model.between) for c in range(len(counts))]
            for z in new
        ]
    )
    scores = model.scores(scale(X_new))
    # Both up to a number for each row.
    np.testing.assert_allclose(
        scores - scores[:, :1], expected - expected[:, :1], rtol=1e-8, atol=1e-8
    )


@pytest.mark.parametrize("n_columns", [5, 60])
def test_whitening_is_that_of_the_dense_covariance(n_columns):
    """Within-class covariance of all rows, pulled to its mean eigenvalue; rows of length √d."""
    X, codes, _, _ = draw_classes((12, 8, 3), n_columns)
    aux, aux_codes, _, _ = draw_classes((6, 5), n_columns, seed=3)
    scale = Scaler(X)
    extra = Auxiliary(scale(aux), aux_codes, None)
    model = PLDA(WithinClasses(Rows(scale(X), codes, None, 3), extra), 0.3)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    all_rows = np.concatenate([scaled, (aux - X.mean(axis=0)) / X.std(axis=0)])
    all_codes = np.concatenate([codes, 3 + aux_codes])
    covariance = np.zeros((n_columns, n_columns))
    for row, code in zip(all_rows, all_codes, strict=True):
        residual = row - all_rows[all_codes == code].mean(axis=0)
        covariance += np.outer(residual, residual) / len(all_rows)
    shrunken = 0.7 * covariance + 0.3 * np.trace(covariance) / n_columns * np.eye(n_columns)
    middle = np.mean([scaled[codes == c].mean(axis=0) for c in range(3)], axis=0)
    white = (scaled - middle) @ np.linalg.inv(np.linalg.cholesky(shrunken)).T
    white *= np.sqrt(n_columns) / np.linalg.norm(white, axis=1, keepdims=True)
    found = model._normalized(*model.space.project(scale(X)))
    # Coordinates may be turned, and may leave out what no class mean reaches.
    np.testing.assert_allclose(found @ found.T, white @ white.T, rtol=1e-6, atol=1e-6)


def test_with_many_rows_it_is_the_nearest_mean():
    X, codes, _, _ = draw_classes((3000, 3000, 3000), 3, spread=1.0)
    model = PLDAClassifier(shrinkage=0.0, power=1, calibrate=False).fit(X, codes)
    fitted = model._model
    z = fitted._normalized(*fitted.space.project(model._scaler(X[::50]))) @ fitted.axes
    distance = ((z[:, None] - fitted.mean) ** 2).sum(axis=2)
    np.testing.assert_array_equal(model.predict(X[::50]), distance.argmin(axis=1))
    np.testing.assert_allclose(fitted.variance, 1, atol=1e-3)


def test_rare_classes_are_not_punished_for_noisy_means():
    """Recall of the rare class, against linear discriminant analysis with known means."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    counts, recalls = (100, 100, 3, 100, 100, 100, 100), []
    for seed in range(5):
        X, codes, means, mixing = draw_classes(counts, 20, seed, spread=0.7)
        rng = np.random.default_rng(seed + 100)
        new = means[2] + rng.normal(size=(300, 20)) @ mixing
        plda = PLDAClassifier(shrinkage=0.0, power=1, calibrate=False).fit(X, codes)
        lda = LinearDiscriminantAnalysis(priors=np.full(7, 1 / 7)).fit(X, codes)
        recalls.append([np.mean(model.predict(new) == 2) for model in (plda, lda)])
    plda, lda = np.mean(recalls, axis=0)
    assert plda > lda + 0.05


def test_weights_are_repeated_rows_and_zero_leaves_rows_out():
    X, codes, _, _ = draw_classes((10, 6, 4), 5)
    times = np.random.default_rng(0).integers(0, 3, len(codes))
    fixed = PLDAClassifier(shrinkage=0.2, power=0.5, calibrate=False)
    weighted = clone(fixed).fit(X, codes, sample_weight=times)
    again = np.repeat(np.arange(len(codes)), times)
    repeated = clone(fixed).fit(X[again], codes[again])
    np.testing.assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-6)


def test_auxiliary_rows_teach_the_covariance():
    X, codes, means, mixing = draw_classes((4, 3, 3), 8)
    rng = np.random.default_rng(5)
    aux_codes = np.repeat(np.arange(20), 30)
    aux = 2 * rng.normal(size=(20, 8))[aux_codes] @ mixing + rng.normal(size=(600, 8)) @ mixing
    test_codes = np.repeat(np.arange(3), 200)
    X_test = means[test_codes] + rng.normal(size=(600, 8)) @ mixing
    fixed = PLDAClassifier(shrinkage=0.1, power=1, calibrate=False)
    alone = clone(fixed).fit(X, codes)
    helped = clone(fixed).fit(X, codes, X_aux=aux, y_aux=100 + aux_codes)
    assert helped.score(X_test, test_codes) > alone.score(X_test, test_codes)
    np.testing.assert_array_equal(helped.classes_, [0, 1, 2])
    assert helped.predict_proba(X_test).shape == (600, 3)


def test_settings_are_those_of_the_least_held_out_loss():
    X, codes, _, _ = draw_classes((40, 20, 6), 10, spread=1.0)
    tuned = PLDAClassifier(random_state=0).fit(X, codes)
    losses = {
        (shrinkage, power): PLDAClassifier(shrinkage=[shrinkage], power=[power], random_state=0)
        .fit(X, codes)
        .held_out_loss_
        for shrinkage in (0.3, 0.6, 0.9, 0.97)
        for power in (1.0, 0.5)
    }
    assert (tuned.shrinkage_, tuned.power_) == min(losses, key=losses.get)
    assert tuned.held_out_loss_ == pytest.approx(min(losses.values()))


def test_the_prior_may_change_after_fitting():
    X, codes, _, _ = draw_classes((60, 20, 5), 4, spread=0.5)
    model = PLDAClassifier(random_state=0).fit(X, codes)
    balanced = model.predict_proba(X)
    np.testing.assert_allclose(model.prediction_prior_, 1 / 3)
    shares = np.array([60, 20, 5]) / 85
    np.testing.assert_allclose(model.set_params(prior="train").prediction_prior_, shares)
    expected = balanced * shares / (balanced * shares).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected)
    np.testing.assert_allclose(model.set_params(prior=shares).predict_proba(X), expected)


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((6, 3)),
        np.repeat(np.eye(3)[:2], 3, axis=0),
        np.random.default_rng(0).normal(size=(6, 40)).astype(np.float32),
        np.ones((6, 3)) * 1e30,
    ],
    ids=["constant", "no variance within", "wide", "large"],
)
@pytest.mark.parametrize("shrinkage", [0.0, 0.5, 1.0, "auto"])
def test_degenerate_rows_give_finite_probabilities(X, shrinkage):
    model = PLDAClassifier(shrinkage=shrinkage, random_state=0).fit(X, [0, 0, 0, 1, 1, 1])
    proba = model.predict_proba(np.concatenate([X, X * 2 + 1]))
    assert np.isfinite(proba).all()
    np.testing.assert_allclose(proba.sum(axis=1), 1)


def test_classes_of_one_row_leave_nothing_to_hold_out():
    model = PLDAClassifier().fit(np.eye(3), ["a", "b", "c"])
    assert model.predict(np.eye(3)).tolist() == ["a", "b", "c"]
    assert np.isnan(model.held_out_loss_)


@pytest.mark.parametrize(
    ("params", "fit", "message"),
    [
        ({"shrinkage": [0.1, 1.5]}, {}, 'shrinkage must be "auto"'),
        ({"power": []}, {}, 'power must be "auto"'),
        ({"prior": [0.5, 0.5]}, {}, "prior must be"),
        ({}, {"X_aux": np.zeros((2, 3))}, "belong together"),
        ({}, {"X_aux": np.zeros((2, 3)), "y_aux": [0, 7]}, r"classes \[0\] are in y and in y_aux"),
        ({}, {"X_aux": np.zeros((2, 4)), "y_aux": [8, 7]}, "X_aux is not as X"),
        ({}, {"X_aux": np.zeros((9, 3)), "y_aux": Whole([8] * 9)}, "must be wrapped"),
        ({}, {"X_aux": np.zeros((4, 3)), "y_aux": [8, 7]}, "wrap both in ltlearn.Whole"),
        ({"cv": [([0, 1, 2, 3, 6], [4]), ([0, 1, 2, 3, 6], [4])]}, {}, "more than once"),
    ],
)
def test_bad_input_raises(params, fit, message):
    X, codes, _, _ = draw_classes((3, 3, 3), 3)
    with pytest.raises(ValueError, match=message):
        PLDAClassifier(**params).fit(X, codes, **fit)


def test_a_single_class_raises():
    with pytest.raises(ValueError, match="at least two classes"):
        PLDAClassifier().fit(np.eye(3), [0, 0, 0])
    with pytest.raises(ValueError, match="at least two classes"):
        PLDAClassifier().fit(np.eye(3), [0, 0, 1], sample_weight=[1, 1, 0])
