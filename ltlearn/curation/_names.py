"""Names of classes: how many are wanted, when two are the same, which proposals are usable."""

import re
import unicodedata
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np

from ltlearn.curation._types import Target

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


def class_targets(y, *, class_names=None, n_names=(3, 10)):
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
        ``str(label)``.
    n_names : tuple of two int, default=(3, 10)
        Number of names (low, high) for the largest and for the smallest class.

    Returns
    -------
    targets : dict
        Maps each label, in sorted order, to its :class:`~ltlearn.curation.Target`.

    Raises
    ------
    ValueError
        When two labels get the same name, or ``n_names`` is not an increasing pair.

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
    names = [str((class_names or {}).get(label, label)) for label in labels.tolist()]
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


def screen(proposals, targets):
    """Separate usable proposals from the rest.

    Comparison ignores case, punctuation, underscores, spaces and English plurals: ``"Sea_Lions"``
    is ``"sea lion"`` and ``"sealion"``. Names without letters are compared as they are. Dropped
    are names that are empty, equal a target class,
    contain one as whole words (``"Siamese cat"`` for the class ``"cat"``, but not ``"catfish"``),
    are repeated for the same anchor, or exceed the number wanted. A name proposed for several
    anchors is one auxiliary class with several anchors, in the spelling met first.

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
    target_of = {form: target.name for target in targets for form in _forms(target.name)}
    spelling_of = {}
    accepted, dropped = [], []
    names_of = defaultdict(set)
    for proposal in proposals:
        if proposal.anchor not in wanted:
            raise ValueError(
                f"{proposal.name!r} was proposed for {proposal.anchor!r}, which is not a target "
                f"class. The target classes are {', '.join(wanted)}."
            )
        forms = _forms(proposal.name)
        name = next((spelling_of[form] for form in forms if form in spelling_of), proposal.name)
        reason = (
            _clash(proposal.name, target_of)
            or (name in names_of[proposal.anchor] and "repeats a name of the same anchor")
            or (
                len(names_of[proposal.anchor]) >= wanted[proposal.anchor]
                and f"exceeds the {wanted[proposal.anchor]} names wanted for the anchor"
            )
        )
        if reason:
            dropped.append((proposal, reason))
            continue
        spelling_of.update(dict.fromkeys(forms, name))
        names_of[proposal.anchor].add(name)
        accepted.append(replace(proposal, name=name))
    return accepted, dropped


def same_name(first, second):
    """Whether two names differ in no more than case, punctuation, spaces or an English plural."""
    return not _forms(first).isdisjoint(_forms(second))


def clash_with_targets(name, targets):
    """Why a name cannot be an auxiliary class beside the targets; empty if it can."""
    return _clash(name, {form: target.name for target in targets for form in _forms(target.name)})


def _clash(name, target_of):
    words = _words(name)
    if not words:
        return "is empty"
    for form in _forms(name):
        if form in target_of:
            return f"equals the target class {target_of[form]!r}"
    for start in range(len(words)):
        for stop in range(start + 1, len(words) + 1):
            for form in _singulars("".join(words[start:stop])):
                if form in target_of and _has_letters(form):
                    return f"contains the target class {target_of[form]!r}"
    return ""


def _words(name):
    name = unicodedata.normalize("NFKC", str(name)).casefold()
    return re.findall(r"[^\W_]+", name) if _has_letters(name) else name.split()


def _has_letters(name):
    return any(character.isalpha() for character in name)


def _forms(name):
    return _singulars("".join(_words(name)))


def _singulars(word):
    """The word itself, and whatever it may be the English plural of."""
    forms = {word}
    if word.endswith("s") and not word.endswith("ss"):
        forms.add(word[:-1])
    if word.endswith("es"):
        forms.add(word[:-2])
    if word.endswith("ies"):
        forms.add(word[:-3] + "y")
    if word.endswith("ves"):
        forms |= {word[:-3] + "f", word[:-3] + "fe"}
    for plural, singular in IRREGULAR_PLURALS.items():
        if word.endswith(plural):
            forms.add(word.removesuffix(plural) + singular)
    return forms
