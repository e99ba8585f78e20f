"""Why candidates were not kept, counted, and which settings would keep more of them."""

import re
from collections import Counter

# Patterns of the reasons that FeatureFilter gives, what they say, and what loosens that rule.
KINDS = (
    (r"decided by hand", "were rejected by hand", ""),
    (
        r"not near .+: below",
        "are not near enough to a target class",
        "lower FeatureFilter's anchor_quantile, or anchor_similarity where it is given",
    ),
    (r".+: too few$", "are in a class of which too few are near", "lower its min_share"),
    (r"near-duplicate of an earlier", "repeat an earlier candidate", ""),
    (
        r"near-duplicate of ",
        "are too similar to training or protected data",
        "raise its duplicate_similarity, after a look at them",
    ),
)
# What FeatureFilter adds to the reasons of a class that is near no anchor.
LOOSER = re.compile(r"enough of the class are at anchor_quantile=([\d.]+)")
N_NAMED = 4


def nothing_kept(rows):
    """What to say where none of the candidates was kept.

    Parameters
    ----------
    rows : sequence of ManifestRow

    Returns
    -------
    text : str
    """
    if not rows:
        return "There were no candidates: the source had none for any of the names."
    return f"None of {len(rows)} candidates was kept: {what_was_dropped(rows)}"


def what_was_dropped(rows):
    """How many candidates each rule refused, and what would keep more.

    Parameters
    ----------
    rows : sequence of ManifestRow

    Returns
    -------
    text : str
        The rule that refused most comes first. Empty where all were kept.
    """
    counts = Counter(_kind(row.reason) for row in rows if not row.kept)
    said = "; ".join(f"{n} {what}" for (what, _), n in counts.most_common())
    loosens = [advice for (_, advice), _ in counts.most_common() if advice]
    if loosens:
        said += f". To keep more, {'; '.join(loosens)}"
        said += _nearest(rows)
    return f"{said}." if said else ""


def _kind(reason):
    for pattern, what, advice in KINDS:
        if re.match(pattern, reason):
            return what, advice
    return "cannot be used or were refused for a reason of their own", ""


def _nearest(rows):
    """The classes nearest to being kept, with the quantile at which enough of each are near."""
    found = [(LOOSER.search(row.reason), row.name) for row in rows if not row.kept]
    quantiles = sorted({(float(match[1]), name) for match, name in found if match}, reverse=True)
    listed = ", ".join(f"{name} at anchor_quantile={q:g}" for q, name in quantiles[:N_NAMED])
    return f". Enough of a class would be near: {listed}" if listed else ""
