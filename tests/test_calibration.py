import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltlearn.calibration import LogitAdjuster, Recalibrator


@pytest.mark.filterwarnings("ignore::ltlearn.exceptions.SmallSampleWarning")
@parametrize_with_checks(
    [
        Recalibrator(LinearRegression()),
        *[Recalibrator(LinearRegression(), method=m, cv=3) for m in ("linear", "isotonic", "cubic")],
        LogitAdjuster(LogisticRegression()),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)
