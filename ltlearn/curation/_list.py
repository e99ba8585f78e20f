"""Names that a person listed."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ltlearn.curation._files import read_table
from ltlearn.curation._types import Proposal
from ltlearn.utils._typing import FilePath


class ListProposer:
    """Names from a dictionary or a CSV file.

    Parameters
    ----------
    names : dict or path-like
        A dictionary from names of target classes to lists of auxiliary names, the most wanted
        first; or a CSV file with the columns ``anchor`` and ``name``.

    Examples
    --------
    >>> from ltlearn.curation import ListProposer, Target
    >>> proposer = ListProposer({"otter": ["beaver", "mink"]})
    >>> [proposal.name for proposal in proposer.propose([Target("otter", 20, 5)])]
    ['beaver', 'mink']
    """

    def __init__(self, names: Mapping[str, Any] | FilePath) -> None:
        self.names = names

    def __repr__(self):
        what = str(self.names) if self._is_file() else f"<names for {len(self.names)} classes>"
        return f"ListProposer({what})"

    def _is_file(self):
        return isinstance(self.names, (str, os.PathLike))

    def propose(self, targets: Any, folder: Any = None) -> Iterator[Proposal]:
        """Yield the listed names, in their order.

        Parameters
        ----------
        targets : ignored
            Names for classes that are none of them are an error afterwards.
        folder : ignored
            Nothing here costs money.

        Yields
        ------
        proposal : Proposal

        Raises
        ------
        ValueError
            When a CSV file lacks a column or a name, or a dictionary has no list of names.
        """
        for anchor, name in self._read() if self._is_file() else self._pairs():
            yield Proposal(anchor, name, "list")

    def _pairs(self):
        for anchor, names in self.names.items():
            if isinstance(names, str):
                raise ValueError(f"The names of {anchor!r} are not a list but the text {names!r}.")
        return [(anchor, name) for anchor, names in self.names.items() for name in names]

    def _read(self):
        pairs = [(row["anchor"], row["name"]) for row in read_table(self.names, ("anchor", "name"))]
        for anchor, name in pairs:
            if not (anchor and name):
                raise ValueError(
                    f"{self.names} has a row with the anchor {anchor!r} and the name {name!r}; it "
                    "needs both."
                )
        return pairs
