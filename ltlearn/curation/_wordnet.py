"""Names near a target class in WordNet."""

import contextlib
import io
import warnings
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from ltlearn.curation._names import same_name
from ltlearn.curation._types import Proposal, Target
from ltlearn.exceptions import CurationWarning
from ltlearn.utils._optional import import_optional_dependency
from ltlearn.utils._typing import FilePath

# WordNet has 45 lexicographer files (lexnames(5WN)); their names are not needed here.
N_LEXICOGRAPHER_FILES = 45


class WordNetProposer:
    """Siblings and hyponyms of the target classes in WordNet, read from local database files.

    A target class is looked up as a noun. Its senses are gone through from the most frequent one
    on; for each sense, first its siblings (other hyponyms of its hypernyms) are proposed, then its
    own hyponyms. Synonyms of target classes are left out.

    With a ``vocabulary``, e.g. the class names of an image bank, only its names are proposed: those
    at most ``max_distance`` steps along hypernyms and hyponyms from the target class, the nearest
    first, by the nearest pair of senses.

    Parameters
    ----------
    folder : path-like, default="/usr/share/wordnet"
        Where ``data.noun`` and the other files of WordNet's dictionary (``dict``) are. The default
        is where Debian's and Ubuntu's package ``wordnet-base`` puts them.
    vocabulary : sequence of str, default=None
        The only names to propose. Names that WordNet does not know are never proposed.
    max_distance : int, default=8
        For a ``vocabulary``: the largest number of steps between two synsets.
    senses : dict, default=None
        Maps names of target classes, or of the vocabulary, to the synset that is meant, e.g.
        ``{"seal": "seal.n.09"}``, instead of all their senses.

    Notes
    -----
    Target classes that WordNet does not know raise a
    :class:`~ltlearn.exceptions.CurationWarning`.

    Examples
    --------
    >>> from ltlearn.curation import Target, WordNetProposer
    >>> proposer = WordNetProposer(senses={"seal": "seal.n.09"})
    >>> names = list(proposer.propose([Target("seal", 20, 5)]))  # doctest: +SKIP
    """

    def __init__(
        self,
        folder: FilePath = "/usr/share/wordnet",
        *,
        vocabulary: Sequence[str] | None = None,
        max_distance: int = 8,
        senses: dict[str, Any] | None = None,
    ) -> None:
        self.folder = folder
        self.vocabulary = vocabulary
        self.max_distance = max_distance
        self.senses = senses

    def __repr__(self):
        vocabulary = None if self.vocabulary is None else f"<{len(self.vocabulary)} names>"
        return (
            f"WordNetProposer({str(self.folder)!r}, vocabulary={vocabulary}, "
            f"max_distance={self.max_distance}, senses={self.senses})"
        )

    def propose(self, targets: Sequence[Target], folder: Any = None) -> Iterator[Proposal]:
        """Yield proposals, the best first for each target class.

        Parameters
        ----------
        targets : sequence of Target
        folder : ignored
            Nothing here costs money.

        Yields
        ------
        proposal : Proposal

        Raises
        ------
        FileNotFoundError
            When the folder holds no WordNet database.
        ValueError
            When ``senses`` names a synset that WordNet does not have.
        """
        with _open_wordnet(Path(self.folder)) as wordnet:
            senses = {target.name: self._senses(wordnet, target.name) for target in targets}
            unknown = [name for name, synsets in senses.items() if not synsets]
            if unknown:
                warnings.warn(
                    f"WordNet does not know the nouns {', '.join(unknown)}: nothing is proposed "
                    "for them. Name a synset for them in senses.",
                    CurationWarning,
                    stacklevel=2,
                )
            if self.vocabulary is None:
                names = self._relatives(senses)
            else:
                names = self._nearest(wordnet, senses)
            for anchor, name in names:
                yield Proposal(anchor, name, "wordnet")

    def _senses(self, wordnet, name):
        if name in (self.senses or {}):
            try:
                return [wordnet.synset(self.senses[name])]
            except Exception as error:  # NLTK raises whatever its parsing meets
                raise ValueError(
                    f"senses: WordNet has no synset {self.senses[name]!r}, given for {name!r}; "
                    "synsets are named like 'seal.n.09'."
                ) from error
        return wordnet.synsets(name.strip().replace(" ", "_"), pos="n")  # most frequent first

    def _relatives(self, senses):
        known = set(chain.from_iterable(senses.values()))
        for anchor, synsets in senses.items():
            for synset in synsets:
                siblings = (
                    sibling
                    for parent in _sorted(synset.hypernyms())
                    for sibling in _sorted(parent.hyponyms())
                )
                for relative in chain(siblings, _sorted(synset.hyponyms())):
                    if relative not in known:
                        yield anchor, relative.lemma_names()[0].replace("_", " ")

    def _nearest(self, wordnet, senses):
        ancestors = {name: _ancestors(self._senses(wordnet, name)) for name in self.vocabulary}
        for anchor, synsets in senses.items():
            own = _ancestors(synsets)
            distances = {
                name: _distance(own, others)
                for name, others in ancestors.items()
                if not same_name(name, anchor)
            }
            for name in sorted(distances, key=distances.get):
                if distances[name] <= self.max_distance:
                    yield anchor, name


@contextlib.contextmanager
def _open_wordnet(folder):
    """NLTK's reader on a folder of database files, which it leaves open."""
    if not (folder / "data.noun").exists():
        raise FileNotFoundError(
            f"There is no WordNet database in {folder} (no file data.noun). Install Debian's "
            "package wordnet-base, or download WordNet's database files and pass their folder."
        )
    nltk_data = import_optional_dependency("nltk.data", "curation")
    reader = import_optional_dependency("nltk.corpus.reader.wordnet", "curation")
    streams = contextlib.ExitStack()

    class Reader(reader.WordNetCorpusReader):
        """Does without the files that NLTK's own copy has and WordNet's packages lack."""

        def open(self, file):
            if file == "lexnames":
                lines = (f"{i:02d} unnamed {i}\n" for i in range(N_LEXICOGRAPHER_FILES))
                return io.StringIO("".join(lines))
            return streams.enter_context(super().open(file))

        def map_wn(self, version="wordnet"):
            """No mapping to NLTK's own copy: it serves other languages than English only."""

    folder = folder.resolve()
    if str(folder) not in nltk_data.path:
        nltk_data.path.append(str(folder))  # NLTK reads from registered folders only
    with streams:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "The multilingual functions are not available")
            wordnet = Reader(str(folder), None)
        yield wordnet


def _sorted(synsets):
    """Synsets in the order of the database; NLTK's own order changes from run to run."""
    return sorted(synsets, key=lambda synset: synset.offset())


def _ancestors(synsets):
    """Maps every hypernym of some synsets, and themselves, to its smallest distance in steps."""
    distances = {}
    for synset in synsets:
        for ancestor, distance in synset.hypernym_distances():
            distances[ancestor] = min(distance, distances.get(ancestor, distance))
    return distances


def _distance(first, second):
    """Length of the shortest path through a common ancestor; infinite if there is none."""
    common = first.keys() & second.keys()
    return min((first[synset] + second[synset] for synset in common), default=float("inf"))
