"""Names of classes: how many are wanted, when two are the same, which proposals are usable."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ltlearn.curation._types import Proposal, Target

IRREGULAR_PLURALS = {
    "children": "child",
    "feet": "foot",
    "geese": "goose",
    "men": "man",
    "mice": "mouse",
    "oxen": "ox",
    "people": "person",
    "teeth": "tooth",
    "women": "woman",
}

# What only separates words. Kept are signs ("A-", "-1"), and whatever stands between two digits
# ("1.5" is not "15"). Underscores are spaces by then.
SPACES = r"\s,;:!?'\"‘’“”()\[\]{}/"
SEPARATORS = re.compile(
    rf"(?<![\d{SPACES}])[{SPACES}]+|[{SPACES}]+(?![\d{SPACES}])"
    r"|(?<=\w)[.-](?=[^\W\d])|(?<=[^\W\d])[.-](?=\w)|\.(?!\d)|(?<!\S)-(?!\S)"
)

# An English plural ends in "es" after these.
SIBILANTS = ("s", "x", "z", "ch", "sh", "o")


def class_targets(
    y: ArrayLike, *, class_names: dict[str, Any] | None = None, n_names: tuple[int, int] = (3, 10)
) -> dict[str, Any]:
    """Target classes of a label vector, with the number of auxiliary names wanted for each.

    The number grows from the head to the tail, linearly in the logarithm of the class size: a
    class with ``n`` of at least ``n_tail`` and at most ``n_head`` samples gets
    ``round(low + (high - low) * log(n_head / n) / log(n_head / n_tail))`` names. Where all classes
    are of the same size, each gets ``high``.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels of the training data.
    class_names : dict, default=None
        Maps labels to names as a person would write them. Labels that it lacks, or all, are named
        ``str(label)``, floats without a fraction as integers.
    n_names : tuple of two int, default=(3, 10)
        Number of names (low, high) for the largest and for the smallest class.

    Returns
    -------
    targets : dict
        Maps each label, in sorted order, to its :class:`~ltlearn.curation.Target`.

    Raises
    ------
    ValueError
        When two labels get the same name, ``class_names`` is about other labels, or ``n_names`` is
        not an increasing pair.

    Examples
    --------
    >>> from ltlearn.curation import class_targets
    >>> for target in class_targets(["cat"] * 100 + ["elk"] * 10 + ["yak"]).values():
    ...     print(target)
    Target(name='cat', count=100, n_names=3)
    Target(name='elk', count=10, n_names=6)
    Target(name='yak', count=1, n_names=10)
    """
    low, high = n_names
    if not 0 < low <= high:
        raise ValueError(f"n_names must be a pair 0 < low <= high; got {n_names}.")
    labels, counts = np.unique(np.asarray(y), return_counts=True)
    class_names = class_names or {}
    if not isinstance(class_names, Mapping):
        raise ValueError(
            f"class_names must map labels to names; got a {type(class_names).__name__}."
        )
    if class_names and not any(label in class_names for label in labels.tolist()):
        raise ValueError(
            f"class_names names none of the labels, the first of which is {labels.tolist()[0]!r}; "
            f"its first key is {next(iter(class_names))!r}."
        )
    names = [str(class_names.get(label, label_name(label))) for label in labels.tolist()]
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        raise ValueError(f"Several labels have the same class name: {', '.join(repeated)}.")
    tailness = np.log(counts.max() / counts)
    span = tailness.max()
    share = tailness / span if span > 0 else np.ones(len(counts))
    wanted = np.rint(low + (high - low) * share).astype(int)
    return {
        label: Target(name, int(count), int(number))
        for label, name, count, number in zip(labels.tolist(), names, counts, wanted, strict=True)
    }


def screen(
    proposals: Iterable[Proposal], targets: Sequence[Target]
) -> tuple[list[Proposal], list[tuple[Proposal, str]]]:
    """Separate usable proposals from the rest.

    Comparison ignores case, punctuation, underscores, spaces and English plurals: ``"Sea_Lions"``
    is ``"sea lion"`` and ``"sealion"``. It does not ignore symbols, signs and what stands between
    digits: ``"C++"`` is not ``"C"``, and ``"grade 1.5"`` is not ``"grade 15"``. Dropped are names
    that are empty, equal a target class, contain one as whole words (``"Siamese cat"`` for the
    class ``"cat"``, but not ``"catfish"``), are repeated for the same anchor, or exceed the number
    wanted. A name proposed for several anchors is one auxiliary class with several anchors, in the
    spelling met first.

    Parameters
    ----------
    proposals : iterable of Proposal
    targets : sequence of Target

    Returns
    -------
    accepted : list of Proposal
    dropped : list of (Proposal, str)
        With the reason.

    Raises
    ------
    ValueError
        When a proposal names an anchor that is not a target class.

    Examples
    --------
    >>> from ltlearn.curation import Proposal, Target, screen
    >>> names = ["Siamese cat", "catfish", "Cats", "lynx", "Lynxes"]
    >>> accepted, dropped = screen(
    ...     [Proposal("cat", name, "list") for name in names], [Target("cat", 9, 5)])
    >>> [proposal.name for proposal in accepted]
    ['catfish', 'lynx']
    >>> for proposal, reason in dropped:
    ...     print(proposal.name, "->", reason)
    Siamese cat -> contains the target class 'cat'
    Cats -> equals the target class 'cat'
    Lynxes -> repeats a name of the same anchor
    """
    wanted = {target.name: target.n_names for target in targets}
    known_targets, known_names = _Names(wanted), _Names()
    accepted, dropped = [], []
    names_of: defaultdict[str, set[str]] = defaultdict(set)
    for proposal in proposals:
        if proposal.anchor not in wanted:
            raise ValueError(
                f"{proposal.name!r} was proposed for {proposal.anchor!r}, which is not a target "
                f"class. The target classes are {', '.join(wanted)}."
            )
        name = known_names.find(proposal.name)
        name = proposal.name if name is None else name
        reason = (
            _clash(proposal.name, known_targets)
            or (name in names_of[proposal.anchor] and "repeats a name of the same anchor")
            or (
                len(names_of[proposal.anchor]) >= wanted[proposal.anchor]
                and f"exceeds the {wanted[proposal.anchor]} names wanted for the anchor"
            )
        )
        if reason:
            dropped.append((proposal, reason))
            continue
        known_names.add(name)
        names_of[proposal.anchor].add(name)
        accepted.append(replace(proposal, name=name))
    return accepted, dropped


def label_name(label):
    """Label as text: the same for 1 and 1.0."""
    whole = isinstance(label, float) and label.is_integer()
    return str(int(label) if whole else label)


def same_name(first, second):
    """Whether two names differ in no more than case, punctuation, spaces or an English plural."""
    return _Names([first]).find(second) is not None


def matching_names(name, names):
    """The name itself where it is among others; otherwise those that are the same name."""
    return [name] if name in names else [other for other in names if same_name(other, name)]


class _Names:
    """Names to find others among. Two plurals of one word are not the same name.

    Parameters
    ----------
    names : iterable of str, default=()
    """

    def __init__(self, names=()):
        self._by_word, self._by_singular = {}, {}
        for name in names:
            self.add(name)

    def add(self, name):
        """Add a name; the first of several that are the same stays."""
        word = "".join(_words(name))
        self._by_word.setdefault(word, name)
        for singular in _singulars(word):
            self._by_singular.setdefault(singular, name)

    def find(self, name):
        """The name added that is the same; None if there is none."""
        return self.find_word("".join(_words(name)))

    def find_word(self, word):
        """The same for words put together already."""
        for form in (word, *_singulars(word)):
            if form in self._by_word:
                return self._by_word[form]
        return self._by_singular.get(word)


def _clash(name, targets):
    """Why a name cannot be an auxiliary class beside the targets; empty if it can."""
    words = _words(name)
    if not words:
        return "is empty"
    target = targets.find(name)
    if target is not None:
        return f"equals the target class {target!r}"
    for start in range(len(words)):
        for stop in range(start + 1, len(words) + 1):
            part = "".join(words[start:stop])
            target = targets.find_word(part)
            if target is not None and any(character.isalpha() for character in part):
                return f"contains the target class {target!r}"
    return ""


def _words(name):
    name = unicodedata.normalize("NFKC", str(name)).casefold().replace("_", " ")
    return [word for word in SEPARATORS.split(" ".join(name.split())) if word] or name.split()


def _singulars(word):
    """Whatever a word may be the English plural of."""
    forms = []
    if word.endswith("s") and not word.endswith("ss"):
        forms.append(word[:-1])
    if word.endswith("es") and word[:-2].endswith(SIBILANTS):
        forms.append(word[:-2])
    if word.endswith("ies"):
        forms.append(word[:-3] + "y")
    if word.endswith("ves"):
        forms.append(word[:-3] + "f")
    if word.endswith("ives"):
        forms.append(word[:-3] + "fe")
    for plural, singular in IRREGULAR_PLURALS.items():
        if word.endswith(plural):
            forms.append(word.removesuffix(plural) + singular)
    return forms
