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


def nothing_kept(rows):
    """What to say where none of the candidates was kept.

    Parameters
    ----------
    rows : sequence of ManifestRow

    Returns
    -------
    text : str
        How many candidates there were of each kind, the commonest first, and what would keep more.
    """
    if not rows:
        return "There were no candidates: the source had none for any of the names."
    counts = Counter(_kind(row.reason) for row in rows)
    said = "; ".join(f"{n} {what}" for (what, _), n in counts.most_common())
    loosens = [advice for (_, advice), _ in counts.most_common() if advice]
    advice = f" To keep more, {'; '.join(loosens)}." if loosens else ""
    return f"None of {len(rows)} candidates was kept: {said}.{advice}"


def _kind(reason):
    for pattern, what, advice in KINDS:
        if re.match(pattern, reason):
            return what, advice
    return "cannot be used or were refused for a reason of their own", ""
