"""What passes between the steps of curation, and what a step must offer.

A step is any object with the one or two methods of its protocol; nothing has to be inherited.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


@dataclass(frozen=True)
class Target:
    """A class of the long-tailed problem.

    Parameters
    ----------
    name : str
        Name of the class, as a person would write it.
    count : int
        Number of its training samples.
    n_names : int
        Number of auxiliary names wanted for it.
    """

    name: str
    count: int
    n_names: int


@dataclass(frozen=True)
class Proposal:
    """The name of an auxiliary class, proposed for one target class.

    Parameters
    ----------
    anchor : str
        Name of the target class that it is proposed for.
    name : str
        Name of the auxiliary class.
    proposer : str
        What proposed it, e.g. ``"wordnet"``.
    prompt_hash : str, default=""
        Hash of the request that was answered with the name, where there was one.
    """

    anchor: str
    name: str
    proposer: str
    prompt_hash: str = ""


@dataclass(frozen=True)
class Candidate:
    """One image or feature row that may enter an auxiliary class.

    Parameters
    ----------
    name : str
        Auxiliary class.
    source : str
        Where it came from (URL, path or row): identifies the candidate within its class.
    item : str, ndarray of shape (D,) or None
        What the filter looks at: path of an image file, or feature row. None where there is a
        ``problem``.
    problem : str, default=""
        Why it cannot be used; empty if it can.
    checksum : str, default=""
        SHA-256 of the content, in hexadecimal.
    license, license_url, creator, landing_page : str, default=""
        What the source says about the rights, where it says anything.
    retrieved : str, default=""
        When it was fetched: ISO 8601, UTC.
    """

    name: str
    source: str
    item: Any
    problem: str = ""
    checksum: str = ""
    license: str = ""
    license_url: str = ""
    creator: str = ""
    landing_page: str = ""
    retrieved: str = ""


@dataclass(frozen=True)
class Verdict:
    """What a filter decided about one candidate.

    Parameters
    ----------
    keep : bool
    reason : str
        Why, in words; never empty.
    anchor : str, default=""
        The nearest of the target classes that the candidate's class was proposed for.
    similarity : float or None, default=None
        Cosine similarity to that anchor's prototype.
    near : tuple of str, default=()
        The target classes that the candidate counts as a neighbor of.
    """

    keep: bool
    reason: str
    anchor: str = ""
    similarity: float | None = None
    near: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchResult:
    """An image that a search engine found.

    Parameters
    ----------
    url : str
        Address of the image itself.
    license, license_url, creator, landing_page : str, default=""
        What the engine says about the rights.
    """

    url: str
    license: str = ""
    license_url: str = ""
    creator: str = ""
    landing_page: str = ""


class Proposer(Protocol):
    """Proposes names of auxiliary classes."""

    def propose(self, targets: Sequence[Target], folder: Path) -> Iterable[Proposal]:
        """Yield proposals, the best first for each target class.

        ``folder`` is where answers that cost money may be kept between runs. Names that are
        unusable, or more than ``n_names``, may be yielded: they are screened afterwards.
        """


class Source(Protocol):
    """Fetches candidates for auxiliary classes.

    A source that knows its classes also has ``class_names() -> list of str``, and can then be used
    without a proposer.
    """

    def fetch(self, names: Sequence[str], folder: Path) -> Iterable[Candidate]:
        """Yield the candidates of the given auxiliary classes, in the same order at every run.

        ``folder`` is where fetched files and a record of them are kept between runs.
        """


class Filter(Protocol):
    """Decides which candidates enter the auxiliary data."""

    def fit(self, X: Any, y: Sequence[str], *, protected: Mapping[str, Any]) -> "Filter":
        """Learn from target data; ``protected`` holds named data that must not leak."""

    def decide(
        self, candidates: Sequence[Candidate], anchors: Mapping[str, Sequence[str]]
    ) -> list[Verdict]:
        """Judge candidates; ``anchors`` maps auxiliary to target classes."""


class SearchEngine(Protocol):
    """Finds images on the web."""

    def search(self, query: str, n: int) -> Iterable[SearchResult]:
        """Yield up to ``n`` results, the best first."""
