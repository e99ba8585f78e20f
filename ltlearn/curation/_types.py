"""What passes between the steps of curation."""

from dataclasses import dataclass
from typing import Any


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

    Examples
    --------
    >>> from ltlearn.curation import Target
    >>> Target("otter", count=12, n_names=8)
    Target(name='otter', count=12, n_names=8)
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

    Examples
    --------
    >>> from ltlearn.curation import Proposal
    >>> Proposal("otter", "mink", "list").anchor
    'otter'
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
        SHA-256 of the content, in hexadecimal: a decision made by hand holds for this content.
    license, license_url, creator, landing_page : str, default=""
        What the source says about the rights, where it says anything.
    retrieved : str, default=""
        When it was fetched: ISO 8601, UTC.

    Examples
    --------
    >>> from ltlearn.curation import Candidate
    >>> Candidate("mink", "bank/mink/7.jpg", "bank/mink/7.jpg", license="cc0").problem
    ''
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

    Examples
    --------
    >>> from ltlearn.curation import Verdict
    >>> Verdict(True, "near otter", "otter", 0.83, ("otter",)).keep
    True
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

    Examples
    --------
    >>> from ltlearn.curation import SearchResult
    >>> SearchResult("https://example.org/mink.jpg", license="by 4.0").creator
    ''
    """

    url: str
    license: str = ""
    license_url: str = ""
    creator: str = ""
    landing_page: str = ""
