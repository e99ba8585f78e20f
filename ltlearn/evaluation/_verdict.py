"""The result of a tail report, and how it is put into words."""

from dataclasses import dataclass

from ltlearn.evaluation._rendering import html_report, text_table
from ltlearn.evaluation._report_figure import plot_report

_RESOLUTION = 1e-9  # of changes: less is rounding


@dataclass(frozen=True)
class Estimate:
    """A number with its interval, which is NaN where there are too few rows."""

    value: float
    low: float
    high: float

    @property
    def is_measured(self):
        """Whether there is an interval."""
        return self.low == self.low

    @property
    def sign(self):
        """1 or -1 where the interval excludes zero, else 0."""
        return int(self.low > _RESOLUTION) - int(self.high < -_RESOLUTION)


@dataclass(frozen=True)
class BandResult:
    """Results in one band of the label.

    Attributes
    ----------
    band : str
    n_samples : int
        Test rows in it.
    values : tuple of Estimate
        The metric of each model, a mean over its fits.
    changes : tuple of Estimate
        From each model but the first to the first: relative for MAE, differences for accuracy.
    given : tuple of float
        The metric of the first fit of each model: that of the fits given to the report.
    """

    band: str
    n_samples: int
    values: tuple
    changes: tuple
    given: tuple = ()


@dataclass(frozen=True, repr=False)
class TailReport:
    """What :func:`tail_report` found. Its ``repr`` and its HTML form are meant to be read.

    Attributes
    ----------
    metric : {"mae", "accuracy"}
    models : tuple of str
        ``"estimator"``, ``"baseline"`` and, if there is one, the control.
    n_fits : tuple of int
        Fits of each model that its values are means over.
    covers_seeds : bool
        Whether the intervals count what other seeds would change. If not, they and the verdict
        speak of the two fits given.
    results : tuple of BandResult
        Overall first.
    notes : tuple of str
        What else should be known.
    verdict : str
        One sentence.
    signs : dict of str to dict
        ``signs[model][band]`` is the sign of the change from ``"baseline"``, or from the control,
        to the estimator in a band: -1 or 1 where its interval excludes zero, else 0. A lower MAE
        is better, and so is a higher accuracy.
    """

    metric: str
    models: tuple
    n_fits: tuple
    covers_seeds: bool
    results: tuple
    notes: tuple

    @property
    def verdict(self):
        return _verdict(self)

    @property
    def signs(self):
        return {
            model: {result.band: result.changes[number].sign for result in self.results}
            for number, model in enumerate(self.models[1:])
        }

    def to_frame(self):
        """One row per band.

        Returns
        -------
        DataFrame
            ``band`` and ``n_samples``; then, for each model, a column of its metric and two, with
            the suffixes ``_low`` and ``_high``, of its interval; and as many columns
            ``change_from_<model>``: relative changes of the MAE, differences of accuracy; each
            with another, its sign as in ``signs``, of the suffix ``_sign``.
        """
        import pandas as pd

        rows = []
        for result in self.results:
            row = {"band": result.band, "n_samples": result.n_samples}
            for name, estimate in zip(self.models, result.values, strict=True):
                row |= _columns(name, estimate)
            for model, change in zip(self.models[1:], result.changes, strict=True):
                name = f"change_from_{model}"
                row |= {**_columns(name, change), f"{name}_sign": change.sign}
            rows.append(row)
        return pd.DataFrame(rows)

    def plot(self, ax=None):
        """Draw the changes by band with their intervals; needs the extra ``plot``.

        Parameters
        ----------
        ax : matplotlib.axes.Axes, default=None
            None makes a new figure.

        Returns
        -------
        matplotlib.axes.Axes
        """
        return plot_report(self, ax)

    def __repr__(self):
        sentences = "\n".join(f"- {note}" for note in self.notes)
        return "\n\n".join([self.verdict, text_table(*self._table()), sentences])

    def _repr_html_(self):
        return html_report(self.verdict, *self._table(), self.notes)

    def _table(self):
        changes = [f"change from {name}" for name in self.models[1:]]
        rows = [
            [
                result.band,
                f"{result.n_samples:,}",
                *(f"{estimate.value:.4g}" for estimate in result.values),
                *(format_change(change, self.metric) for change in result.changes),
            ]
            for result in self.results
        ]
        return [f"{self.metric} in band", "n", *self.models, *changes], rows


def _columns(name, estimate):
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}


def format_change(change, metric):
    """For example ``-8.1% [-12.0, -3.2]`` or ``+4.2 points [+1.0, +7.5]``."""
    unit = "%" if metric == "mae" else " points"
    text = f"{100 * change.value:+.1f}{unit}"
    if not change.is_measured:
        return f"{text} [too few rows]"
    return f"{text} [{100 * change.low:+.1f}, {100 * change.high:+.1f}]"


def _verdict(report):
    sentence = _sentence(report)
    if report.covers_seeds:
        return sentence[0].upper() + sentence[1:]
    return f"Between these two fits, {sentence}"


def _sentence(report):
    better = -1 if report.metric == "mae" else 1
    name = "MAE" if report.metric == "mae" else "accuracy"
    overall, *bands = report.results
    tail = next((result for result in bands if result.band == "few"), None)
    overall_change = format_change(overall.changes[0], report.metric)
    overall_sign = better * overall.changes[0].sign
    if tail is None:
        conclusion = {1: "better overall", 0: "no measurable change", -1: "worse overall"}
        return (
            f"overall {name} {overall_change}: {conclusion[overall_sign]}, and no test row is in "
            "the tail."
        )
    changes = f"few-shot {name} {format_change(tail.changes[0], report.metric)}, overall "
    changes += overall_change
    if not tail.changes[0].is_measured:
        return f"{changes}: {tail.n_samples} test rows are too few to tell about the tail."
    tail_sign = better * tail.changes[0].sign
    elsewhere = list(_changes_elsewhere(bands, better, overall_sign))
    conclusion = _CONCLUSIONS[tail_sign, overall_sign]
    if elsewhere and tail_sign == overall_sign == 0:
        conclusion += " in the tail or overall"
    conclusion += "".join(f", {change}" for change in elsewhere)
    if len(report.models) > 2:
        conclusion += _compare_with_control(
            report.models[2].split(" + ")[-1],
            tail_sign,
            better * tail.changes[1].sign,
            better * overall.changes[1].sign,
        )
    return f"{changes}: {conclusion}."


_CONCLUSIONS = {
    (1, 1): "better in the tail and overall",
    (1, 0): "better in the tail",
    (1, -1): "better in the tail, worse overall",
    (0, 1): "better overall, no measurable change in the tail",
    (0, 0): "no measurable change",
    (0, -1): "worse overall, no measurable change in the tail",
    (-1, 1): "worse in the tail, better overall",
    (-1, 0): "worse in the tail",
    (-1, -1): "worse in the tail and overall",
}


def _changes_elsewhere(bands, better, overall_sign):
    """What the changes in the tail and overall do not tell."""
    for band in bands:
        sign = better * band.changes[0].sign
        if band.band in ("many", "medium") and sign not in (0, overall_sign):
            yield f"{'better' if sign > 0 else 'worse'} in {band.band}"


def _compare_with_control(control, tail_sign, tail_against_control, overall_against_control):
    control = f"the {control.replace('_', ' ')} control"
    if tail_against_control < 0:
        overall = {1: ", though worse overall", 0: "", -1: " and overall"}
        return f"; {control} does better in the tail{overall[overall_against_control]}"
    if tail_sign <= 0:
        return ""
    if tail_against_control == 0:
        overall = {1: ", though worse overall", 0: "", -1: ", and better overall"}
        return f", but {control} does as well there{overall[overall_against_control]}"
    overall = {1: " in both", 0: " there", -1: " there, though not overall"}
    return f"; better than {control}{overall[overall_against_control]}"
