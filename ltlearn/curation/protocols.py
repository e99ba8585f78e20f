"""What a step of curation must offer, to be replaced by one of your own.

A step is any object with the methods of its protocol; nothing has to be inherited.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ltlearn.curation._types import Candidate, Proposal, SearchResult, Target, Verdict

__all__ = ["Filter", "Proposer", "SearchEngine", "Source"]


class Proposer(Protocol):
    """Proposes names of auxiliary classes.

    Examples
    --------
    >>> from ltlearn.curation import Proposal, Target
    >>> class Tools:
    ...     def propose(self, targets, folder):
    ...         for target in targets:
    ...             yield Proposal(target.name, f"{target.name} holder", "tools")
    >>> list(Tools().propose([Target("chisel", 9, 5)], None))[0].name
    'chisel holder'
    """

    def propose(self, targets: Sequence[Target], folder: Path) -> Iterable[Proposal]:
        """Yield proposals, the best first for each target class.

        Names that are unusable, or more than wanted, may be yielded: they are screened afterwards,
        see :func:`~ltlearn.curation.screen`.

        Parameters
        ----------
        targets : sequence of Target
        folder : pathlib.Path
            Output folder, where answers that cost money may be kept between runs.
        """


class Source(Protocol):
    """Fetches candidates for auxiliary classes.

    A source that knows its classes also has ``class_names() -> list of str``, and can then be used
    without a proposer.
    """

    def fetch(self, names: Sequence[str], folder: Path) -> Iterable[Candidate]:
        """Yield the candidates of auxiliary classes, in the same order at every run.

        What cannot be used is yielded too, with a ``problem``.

        Parameters
        ----------
        names : sequence of str
            Names of the classes.
        folder : pathlib.Path
            Output folder, where fetched files and a record of them are kept between runs.
        """


class Filter(Protocol):
    """Decides which candidates enter the auxiliary data."""

    def fit(self, X: Any, y: Sequence[str], *, protected: Mapping[str, Any] | None) -> "Filter":
        """Learn from target data.

        Parameters
        ----------
        X : array-like
            Training data of the target classes.
        y : sequence of str
            Names of their classes.
        protected : dict or None
            Further data, by name, that must not be among the auxiliary data.
        """

    def decide(
        self, candidates: Sequence[Candidate], anchors: Mapping[str, Sequence[str]]
    ) -> list[Verdict]:
        """Judge candidates, one verdict each.

        Parameters
        ----------
        candidates : sequence of Candidate
        anchors : dict
            Maps the name of each auxiliary class to the names of the target classes that it was
            proposed for.
        """


class SearchEngine(Protocol):
    """Finds images on the web, for a :class:`~ltlearn.curation.WebSource`."""

    def search(self, query: str, n: int) -> Iterable[SearchResult]:
        """Yield results, the best first.

        Parameters
        ----------
        query : str
        n : int
            Most results wanted.
        """
