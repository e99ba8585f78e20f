"""Colors, markers and hatches that survive greyscale print and color blindness.

The colors are those of Okabe and Ito, ordered so that neighbors differ in lightness too. Nothing
is told apart by color alone: lines also differ in dash and marker, bars in hatch.
"""

from ltlearn.utils._optional import import_optional_dependency

COLORS = ("#0072B2", "#E69F00", "#000000", "#56B4E9", "#D55E00", "#009E73", "#CC79A7")
LINESTYLES = ("-", "--", ":", "-.", (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "xx", "\\\\\\", "++", "oo")
GREY = "0.85"

_METRICS = {
    "mae": "Mean absolute error",
    "mse": "Mean squared error",
    "balanced_mae": "Balanced mean absolute error",
    "emd": "Earth mover's distance",
    "srcc": "Rank correlation (Spearman)",
    "plcc": "Correlation (Pearson)",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "ece": "Expected calibration error",
    "log_loss": "Log loss",
}
_BANDS = {"overall": "all samples", "many": "many-shot", "medium": "medium-shot", "few": "few-shot"}


def axis_name(metric, band):
    """What an axis measures, in words; names of one's own stay as they are."""
    return f"{_METRICS.get(metric, metric)}, {_BANDS.get(band, band)}"


def new_axes(ax):
    """The given axes, or those of a new figure."""
    if ax is not None:
        return ax
    pyplot = import_optional_dependency("matplotlib.pyplot", "plot")
    return pyplot.subplots(layout="constrained")[1]


def line_style(number):
    """Keyword arguments of the line with this number."""
    return {
        "color": COLORS[number % len(COLORS)],
        "linestyle": LINESTYLES[number % len(LINESTYLES)],
        "marker": MARKERS[number % len(MARKERS)],
    }


def bar_style(number):
    """Keyword arguments of the group of bars with this number."""
    return {
        "facecolor": COLORS[number % len(COLORS)],
        "hatch": HATCHES[number % len(HATCHES)],
        "edgecolor": "white" if number % len(COLORS) in (0, 2) else "black",
        "linewidth": 0.8,
    }


def draw_density(ax, grid, density):
    """Shade a label density behind what is plotted in ``ax``, on a scale of its own.

    Returns
    -------
    matplotlib.collections.FillBetweenPolyCollection
    """
    behind = ax.twinx()
    area = behind.fill_between(grid, density, color=GREY, linewidth=0)
    behind.set(ylim=(0, None), yticks=[])
    behind.set_zorder(ax.get_zorder() - 1)
    ax.patch.set_visible(False)
    return area
