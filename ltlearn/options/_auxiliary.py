"""Where auxiliary classes come from, whose neighbors they are, and how much they count."""

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any, Literal

from ltlearn.options._nesting import Options
from ltlearn.utils._checks import MAX_COUNT
from ltlearn.utils._compat import Interval, StrOptions


class Auxiliary(Options):
    """Options of auxiliary classes [1]_.

    Parameters
    ----------
    synthesize : bool, default=False
        Make auxiliary classes from the training rows: one for every pair of a target class and the
        one most similar to it, of rows halfway between rows of the two, which are its neighbors.
        Inputs must be such that mixing them makes sense.
    max_samples : int, default=50
        Most rows of an auxiliary class in an epoch, drawn afresh for every epoch. 0 leaves all
        auxiliary data out.
    neighbors : "auto" or dict, default="auto"
        Which auxiliary classes are neighbors of which target classes: a dict from target class to a
        list of auxiliary classes, in which a class may occur any number of times, or not at all.
        ``"auto"`` takes the pairs whose prototypes are similar; prototypes are mean directions of
        the standardized inputs for ``backbone="mlp"``, of the features before training for a
        module, which had better be pretrained then.
    neighbor_similarity : float or (float, float), default=0.9
        For ``neighbors="auto"``: the quantile of the cosines of all pairs from which on a pair is
        neighboring; or the lowest and the highest cosine of neighbors. Cosines differ much between
        encoders, quantiles hardly do.
    silencing_direction : {"both", "auxiliary", "target"}, default="both"
        Whose samples ignore their neighbors: those of all classes, of auxiliary or of target
        classes only.

    References
    ----------
    .. [1] Zhao et al., "Granularity Matters in Long-Tail Learning", CVPR 2025, arXiv:2410.15980.

    Examples
    --------
    >>> from ltlearn import GranularClassifier
    >>> from ltlearn.options import Auxiliary
    >>> model = GranularClassifier(auxiliary=Auxiliary(max_samples=20))
    >>> model.get_params()["auxiliary__max_samples"]
    20
    """

    _parameter_constraints: dict = {
        "synthesize": ["boolean"],
        "max_samples": [Interval(Integral, 0, MAX_COUNT, closed="both")],
        "neighbors": [StrOptions({"auto"}), dict],
        "neighbor_similarity": [Interval(Real, 0, 1, closed="left"), tuple, list],
        "silencing_direction": [StrOptions({"both", "auxiliary", "target"})],
    }

    def __init__(
        self,
        *,
        synthesize: bool = False,
        max_samples: int = 50,
        neighbors: Literal["auto"] | Mapping[Any, Any] = "auto",
        neighbor_similarity: float | tuple[float, float] = 0.9,
        silencing_direction: Literal["both", "auxiliary", "target"] = "both",
    ) -> None:
        self.synthesize = synthesize
        self.max_samples = max_samples
        self.neighbors = neighbors
        self.neighbor_similarity = neighbor_similarity
        self.silencing_direction = silencing_direction

    @classmethod
    def of(cls, value: Any) -> Any:
        is_short = isinstance(value, str) and value == "synthesize"
        return cls(synthesize=True) if is_short else super().of(value)
