"""Small promises to users of scikit-learn: epochs counted, tags, pickles, arguments by name."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.utils import get_tags
from torch import nn

import ltlearn
from ltlearn import BackboneFeatures, ELTARegressor, GranularClassifier
from ltlearn.calibration import ConformalRegressor
from ltlearn.enhancers import TailMixup
from ltlearn.exceptions import SavedFileWarning
from ltlearn.images import InputSpec
from ltlearn.options import Training
from ltlearn.utils import _estimator

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 3))
SCORES = np.exp(X[:, 0])
CLASSES = (X[:, 0] > 0).astype(int)
both = pytest.mark.parametrize(
    ("estimator", "y"), [(ELTARegressor, SCORES), (GranularClassifier, CLASSES)]
)


def quick(estimator, **params):
    small = {"hidden_layer_sizes": (4,), "backbone": "mlp", "random_state": 0}
    return estimator(**small).set_params(**params)


class TestEpochs:
    @both
    def test_those_of_a_fit_and_not_of_fits_before(self, estimator, y):
        """As in scikit-learn's MLPRegressor, whose n_iter_ never exceeds max_iter."""
        model = quick(estimator, max_epochs=3, warm_start=True).fit(X, y)
        assert (model.n_iter_, len(model.history_)) == (3, 3)
        model.set_params(max_epochs=2).fit(X, y)
        assert (model.n_iter_, len(model.history_)) == (2, 5)
        model.set_params(warm_start=False, max_epochs=4).fit(X, y)
        assert (model.n_iter_, len(model.history_)) == (4, 4)

    @both
    def test_of_several_networks(self, estimator, y):
        model = quick(estimator, max_epochs=3, warm_start=True, n_estimators=2).fit(X, y)
        assert model.set_params(max_epochs=2).fit(X, y).n_iter_ == 2


class TakesImages(nn.Module):
    input_spec = InputSpec(size=(8, 8))

    def forward(self, images):
        return images.mean((2, 3))


class TestTags:
    @both
    @pytest.mark.parametrize(
        ("backbone", "tables", "images", "gaps"),
        [
            ("tabular", True, False, True),
            ("mlp", True, False, False),
            ("resnet18", False, True, False),
            (TakesImages(), False, True, False),
            (nn.Linear(3, 4), True, False, False),
        ],
    )
    def test_of_inputs(self, estimator, y, backbone, tables, images, gaps):
        tags = get_tags(estimator(backbone=backbone)).input_tags
        assert tags.two_d_array == tables
        assert tags.string == tags.one_d_array == images  # paths of files
        assert tags.allow_nan == tags.categorical == gaps
        assert tags.three_d_array == (backbone not in ("tabular", "mlp"))

    def test_votes_are_one_target(self):
        """Several columns are the votes on one score, which is what is predicted."""
        tags = get_tags(ELTARegressor()).target_tags
        assert tags.single_output
        assert not tags.multi_output
        votes = RNG.multinomial(10, [0.2, 0.3, 0.5], size=60)
        assert quick(ELTARegressor, max_epochs=1).fit(X, votes).predict(X).shape == (60,)


ESTIMATORS = [
    quick(ELTARegressor, max_epochs=1, training=Training(lr_schedule="cosine")),
    quick(GranularClassifier, max_epochs=1),
    BackboneFeatures(backbone=TakesImages()),
    ConformalRegressor(ELTARegressor()),
    Training(),
]


class TestPickles:
    @pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
    def test_of_another_version_warn(self, estimator, monkeypatch):
        monkeypatch.setattr(_estimator, "__version__", "0.0.7")
        old = pickle.dumps(estimator)
        monkeypatch.undo()
        with pytest.warns(SavedFileWarning, match="pickled with ltlearn 0.0.7 and is loaded"):
            loaded = pickle.loads(old)
        assert vars(loaded).keys() == vars(estimator).keys()

    @pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda e: type(e).__name__)
    def test_of_this_version_and_copies_do_not(self, estimator):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for again in (pickle.loads(pickle.dumps(estimator)), copy.deepcopy(estimator)):
                assert vars(again).keys() == vars(estimator).keys()
            clone(estimator)

    def test_of_versions_that_did_not_tell(self):
        model = Training()
        state = model.__getstate__()
        assert state.pop("_ltlearn_version") == ltlearn.__version__
        with pytest.warns(SavedFileWarning, match="ltlearn unknown"):
            Training().__setstate__(state)

    @both
    def test_predict_the_same(self, estimator, y):
        model = quick(estimator, max_epochs=1).fit(X, y)
        again = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(again.predict(X), model.predict(X))


class TestArguments:
    @both
    def test_without_a_name(self, estimator, y):
        with pytest.raises(TypeError, match=r"got 'mlp' without the name .* has .*backbone"):
            estimator("mlp")

    def test_that_may_come_without_one(self):
        ConformalRegressor(ELTARegressor())
        with pytest.raises(TypeError, match=r"ConformalRegressor got 0\.5 without the name"):
            ConformalRegressor(ELTARegressor(), 0.5)

    def test_pairs_are_asked_for_before_their_lengths(self):
        classifier = quick(GranularClassifier)
        for given in ({"X_aux": X}, {"y_aux": CLASSES}, {"X_val": X}, {"y_val": CLASSES}):
            with pytest.raises(ValueError, match="belong together; pass both or neither"):
                classifier.fit(X, CLASSES, **given)


def test_a_batch_passes_in_parts_that_mix_among_themselves(monkeypatch):
    """As the docstring of accumulation_steps says."""
    drawn, draw = [], TailMixup.draw

    def remember(self, scores, generator=None):
        drawn.append(tuple(scores.shape))
        return draw(self, scores, generator)

    monkeypatch.setattr(TailMixup, "draw", remember)
    quiet = {"max_epochs": 1, "batch_size": 60, "early_stopping": False, "mixup_strength": 0.5}
    quick(ELTARegressor, **quiet, training__accumulation_steps=3).fit(X, SCORES)
    assert drawn == [(20,)] * 3
