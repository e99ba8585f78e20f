"""The four steps of curation, one after the other, in one output folder."""

import contextlib
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_consistent_length, column_or_1d

from ltlearn._version import __version__
from ltlearn.curation._contact_sheet import write_contact_sheet
from ltlearn.curation._files import now
from ltlearn.curation._filter import FeatureFilter, are_rows
from ltlearn.curation._integrity import check_no_copies, checked_files, file_checksums
from ltlearn.curation._manifest import (
    ManifestRow,
    apply_edits,
    make_rows,
    neighbors_of,
    read_earlier,
    read_manifest,
    read_metadata,
    write_manifest,
)
from ltlearn.curation._names import class_targets, screen
from ltlearn.curation._reasons import nothing_kept, what_was_dropped
from ltlearn.curation._types import Candidate, Proposal
from ltlearn.curation.protocols import Filter, Proposer, Source
from ltlearn.exceptions import CurationError, CurationWarning
from ltlearn.utils._optional import import_optional_dependency
from ltlearn.utils._progress import progress_bar
from ltlearn.utils._typing import FilePath, RowsLike

DINOV2 = "vit_small_patch14_dinov2.lvd142m"

NO_PATHS = np.empty(0, dtype=str)


@dataclass
class CuratedData:
    """Auxiliary data, as :class:`~ltlearn.GranularClassifier` takes it.

    Parameters
    ----------
    X_aux : ndarray of str, shape (n_aux,), or ndarray of shape (n_aux, n_features)
        Paths of image files, or feature rows.
    y_aux : ndarray of str, shape (n_aux,)
        Names of auxiliary classes.
    neighbors : dict
        Maps labels of target classes to lists of auxiliary classes; targets without neighbors are
        absent.
    folder : pathlib.Path
        Output folder.
    rows : list of ManifestRow
        The manifest: every candidate, kept or not.

    Examples
    --------
    Auxiliary images for a classifier on features:

    >>> from ltlearn import BackboneFeatures, GranularClassifier, Whole
    >>> from ltlearn.curation import load_curated
    >>> from ltlearn.options import Auxiliary
    >>> data = load_curated("curated")  # doctest: +SKIP
    >>> embed = BackboneFeatures().fit(images)  # doctest: +SKIP
    >>> model = GranularClassifier(auxiliary=Auxiliary(neighbors=data.neighbors)).fit(
    ...     embed.transform(images), labels,
    ...     X_aux=Whole(embed.transform(data.X_aux)), y_aux=Whole(data.y_aux))  # doctest: +SKIP
    """

    X_aux: np.ndarray
    y_aux: np.ndarray
    neighbors: dict
    folder: Path
    rows: list[ManifestRow] = field(repr=False)

    def __repr__(self):
        return (
            f"CuratedData({len(self.y_aux)} of {len(self.rows)} candidates kept in "
            f"{len(set(self.y_aux.tolist()))} auxiliary classes, neighbors of "
            f"{len(self.neighbors)} target classes; see {self.folder})"
        )

    def __str__(self):
        dropped = what_was_dropped(self.rows)
        return f"{self!r}\nDropped: {dropped}" if dropped and len(self.y_aux) else repr(self)

    def to_frame(self) -> pd.DataFrame:
        """The manifest as a pandas DataFrame, a row per candidate."""
        import pandas

        return pandas.DataFrame([asdict(row) for row in self.rows])


def curate(
    X: RowsLike,
    y: ArrayLike,
    *,
    source: Source,
    folder: FilePath,
    proposer: Proposer | None = None,
    filter: Filter | None = None,
    protected: dict[str, Any] | None = None,
    class_names: dict[str, Any] | None = None,
    n_names: tuple[int, int] = (3, 10),
    contact_sheet: bool = True,
    verbose: int = 1,
) -> CuratedData:
    """Find, fetch and filter auxiliary data for long-tailed classes.

    1. ``proposer`` names auxiliary classes near each target class, more for tail classes;
    2. ``source`` fetches candidates for every name;
    3. ``filter``, fitted before anything is proposed, keeps what is near its anchor class, and
       drops duplicates, above all of protected data;
    4. what is kept is assembled, and recorded in the output folder.

    An interrupted run is continued by running it again: answers of paid endpoints, searches and
    downloads are never repeated. So is one whose decisions were edited in ``manifest.csv``: edits
    hold, for a candidate that is missing from a run as soon as it is back. Set a decision back to
    what the column ``automatic`` says to withdraw it. The manifest is replaced at the end, as a
    whole.

    Parameters
    ----------
    X : array-like
        Training data of the target classes: images or paths for a source of images, feature rows
        (n_samples, n_features) for a :class:`~ltlearn.curation.RowPool`.
    y : array-like of shape (n_samples,)
        Their labels: text, numbers or booleans.
    source : object with ``fetch(names, folder)``
        E.g. :class:`~ltlearn.curation.FolderSource`, :class:`~ltlearn.curation.WebSource`,
        :class:`~ltlearn.curation.RowPool`; see :class:`~ltlearn.curation.protocols.Source`.
    folder : path-like
        Output folder, created if needed. One run at a time may use it.
    proposer : object with ``propose(targets, folder)``, default=None
        E.g. :class:`~ltlearn.curation.LLMProposer`, :class:`~ltlearn.curation.WordNetProposer`,
        :class:`~ltlearn.curation.ListProposer`; see
        :class:`~ltlearn.curation.protocols.Proposer`. None takes all classes of the source, each
        for all target classes, and leaves it to the filter which are neighbors.
    filter : object with ``fit`` and ``decide``, default=None
        See :class:`~ltlearn.curation.protocols.Filter`. None is
        :class:`~ltlearn.curation.FeatureFilter` on DINOv2 features of images (ViT-S/14 from timm,
        kept in the output folder), or on the rows themselves if X is a 2-dimensional array of
        numbers.
    protected : dict, default=None
        Data that must not be among the auxiliary data, by name, e.g.
        ``{"validation": X_val, "test": X_test}``. The training data always is.
    class_names : dict, default=None
        Maps labels to names as a person would write them; ``str(label)`` by default.
    n_names : tuple of two int, default=(3, 10)
        Names wanted for the largest and for the smallest target class; see
        :func:`~ltlearn.curation.class_targets`.
    contact_sheet : bool, default=True
        Whether to write ``contact_sheet.html`` for a person to review; images only.
    verbose : int, default=1
        1 shows bars where there is something to do, 0 none.

    Returns
    -------
    data : CuratedData

    Raises
    ------
    CurationError
        When no usable name is proposed, another run uses the folder, or a manifest was edited
        into something unreadable, or so that it keeps a copy of a training or protected file.
    ValueError
        When X and y do not fit each other, labels are of another kind, or the filter refuses the
        data or its settings.

    Examples
    --------
    Rows of a labelled pool that lie near the target classes:

    >>> import tempfile
    >>> import numpy as np
    >>> from ltlearn.curation import FeatureFilter, RowPool, curate
    >>> rng = np.random.default_rng(0)
    >>> centers = np.eye(4)
    >>> X = np.repeat(centers[:2], [30, 5], axis=0) + rng.normal(0, 0.1, (35, 4))
    >>> y = ["head"] * 30 + ["tail"] * 5
    >>> pool = np.repeat([centers[1] + 0.5 * centers[2], centers[3]], 10, axis=0)
    >>> pool = RowPool(pool + rng.normal(0, 0.1, (20, 4)), ["nearby"] * 10 + ["far"] * 10)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     data = curate(X, y, source=pool, folder=folder, verbose=0,
    ...         filter=FeatureFilter("passthrough", anchor_similarity=0.7))
    >>> data.neighbors, data.X_aux.shape
    ({'tail': ['nearby']}, (10, 4))
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    y = column_or_1d(y)
    check_consistent_length(X, y)
    targets = class_targets(y, class_names=class_names, n_names=n_names)
    _check_labels(targets)
    with _only_run(folder):
        read_earlier(folder)  # an unreadable edit is an error before the work, not after it
        names = [targets[label].name for label in y.tolist()]
        judge = _default_filter(X, folder, verbose) if filter is None else filter
        judge = judge.fit(X, names, protected=protected)
        proposals, dropped = _propose(proposer, source, list(targets.values()), folder, verbose)
        anchors: dict[str, list[str]] = {}
        for proposal in proposals:
            anchors.setdefault(proposal.name, []).append(proposal.anchor)
        fetched = source.fetch(list(anchors), folder)
        fetched = progress_bar(fetched, desc="Fetch", unit=" candidates", disable=not verbose)
        candidates: dict[tuple[str, str], Candidate] = {}
        for candidate in fetched:
            candidates.setdefault((candidate.name, candidate.source), candidate)
        verdicts = judge.decide(list(candidates.values()), anchors)

        rows = make_rows(candidates.values(), verdicts, proposals, folder)
        waiting = _apply_edits(rows, folder)
        steps = {"proposer": proposer, "source": source, "filter": judge}
        metadata = _metadata(steps, targets, proposals, dropped, rows, waiting)
        if not are_rows(X):
            metadata["protected"] = file_checksums({"training": X, **(protected or {})})
        write_manifest(folder, rows, metadata)
        if contact_sheet and any(row.file for row in rows):
            write_contact_sheet(folder, rows)
    items = {key: candidate.item for key, candidate in candidates.items()}
    nothing = np.asarray(X)[:0] if are_rows(X) else NO_PATHS
    return _assemble(rows, items, metadata, folder, nothing)


def load_curated(
    folder: FilePath,
    *,
    bank: FilePath | Sequence[FilePath] | None = None,
) -> CuratedData:
    """Load what was curated from images, with the decisions as they stand in ``manifest.csv``.

    Nothing in the folder is taken on trust: the files of kept candidates must lie in it or in
    ``bank``, be the very ones that were judged, and be none of the training and protected files.

    Parameters
    ----------
    folder : path-like
        Output folder of :func:`curate`.
    bank : path-like or list of path-like, default=None
        Where images come from a local bank: the folders that they lie in.

    Returns
    -------
    data : CuratedData

    Raises
    ------
    FileNotFoundError
        When the folder holds no finished manifest.
    CurationError
        When the manifest is about feature rows (they are not in the folder: run :func:`curate`
        again), lacks the file of a candidate kept by hand, keeps one whose file lies elsewhere,
        has changed or is a copy of a training or protected file, or was edited into something
        unreadable.

    Examples
    --------
    >>> from ltlearn.curation import load_curated
    >>> data = load_curated("curated", bank="image_bank")  # doctest: +SKIP
    >>> data.X_aux, data.y_aux, data.neighbors  # doctest: +SKIP
    """
    folder = Path(folder)
    metadata = read_metadata(folder)
    rows = read_manifest(folder)
    without_file = [row for row in rows if row.kept and not row.file]
    if without_file:
        first = without_file[0]
        raise CurationError(
            f"{folder / 'manifest.csv'} keeps {len(without_file)} candidates that have no file, "
            f"the first being {first.source} of class {first.name!r}."
        )
    items = checked_files([row for row in rows if row.kept], folder, bank)
    return _assemble(rows, items, metadata, folder, NO_PATHS)


def _check_labels(targets):
    """Labels must be such that ``manifest.json`` can hold them."""
    for label in targets:
        if not isinstance(label, (str, bool, int, float)) or label != label:
            raise ValueError(f"Labels must be text, numbers or booleans; got {label!r}.")


def _propose(proposer, source, targets, folder, verbose):
    if proposer is None:
        if not hasattr(source, "class_names"):
            raise CurationError(
                f"{type(source).__name__} does not know its classes: it needs a proposer."
            )
        names = source.class_names()
        targets = [replace(target, n_names=len(names)) for target in targets]
        proposed = [Proposal(target.name, name, "source") for name in names for target in targets]
    else:
        proposed = proposer.propose(targets, folder)
    proposed = progress_bar(proposed, desc="Propose", unit=" names", disable=not verbose)
    proposals, dropped = screen(proposed, targets)
    if not proposals:
        reasons = Counter(reason for _, reason in dropped).most_common(3)
        listed = "; ".join(f"{reason} ({times})" for reason, times in reasons)
        raise CurationError(f"No usable name was proposed. {listed}".rstrip())
    return proposals, dropped


def _metadata(steps, targets, proposals, dropped, rows, waiting):
    """What ``manifest.json`` holds."""
    return {
        "ltlearn": __version__,
        "time": now(),
        **{name: repr(step) for name, step in steps.items()},
        "targets": [{"label": label, **asdict(target)} for label, target in targets.items()],
        "proposals": [asdict(proposal) for proposal in proposals],
        "dropped_names": [{**asdict(each), "reason": reason} for each, reason in dropped],
        "neighbors": neighbors_of(rows),
        "decisions": Counter(row.decision for row in rows),
        "by_hand": [asdict(row) for row in (*rows, *waiting) if row.by_hand],
    }


def _default_filter(X, folder, verbose):
    if are_rows(X):
        return FeatureFilter("passthrough")
    from ltlearn.features import BackboneFeatures

    features = BackboneFeatures(backbone=DINOV2, cache=folder / "features", verbose=verbose)
    return FeatureFilter(features)


def _apply_edits(rows, folder):
    """Let decisions made by hand hold; those that wait for their candidate."""
    decided, edited = read_earlier(folder)
    waiting = apply_edits(rows, [*decided, *edited])
    new = [row for row in waiting if row in edited]
    if new:
        warnings.warn(
            f"{len(new)} decisions made by hand wait in {folder / 'manifest.json'}: their "
            "candidates cannot be used, have other content or are no longer there, the first being "
            f"{new[0].source} of class {new[0].name!r}.",
            CurationWarning,
            stacklevel=3,
        )
    return waiting


def _assemble(rows, items, metadata, folder, nothing):
    label_of = {target["name"]: target["label"] for target in metadata["targets"]}
    kept = [row for row in rows if row.kept]
    neighbors = neighbors_of(kept)
    unknown = sorted(neighbors.keys() - label_of.keys())
    if unknown:
        raise CurationError(
            f"{folder / 'manifest.csv'} says that candidates are near {', '.join(unknown)}, which "
            "are no target classes."
        )
    check_no_copies(kept, folder, metadata.get("protected", {}))
    if not kept:
        warnings.warn(
            f"{nothing_kept(rows)} The reasons are in {folder / 'manifest.csv'}.",
            CurationWarning,
            stacklevel=3,
        )
    return CuratedData(
        X_aux=np.array([items[row.key] for row in kept]) if kept else nothing,
        y_aux=np.array([row.name for row in kept], dtype=str),
        neighbors={label_of[anchor]: names for anchor, names in neighbors.items()},
        folder=folder,
        rows=rows,
    )


@contextlib.contextmanager
def _only_run(folder):
    filelock = import_optional_dependency("filelock", "curation")
    try:
        with filelock.FileLock(folder / ".lock", timeout=0):
            yield
    except filelock.Timeout as error:
        raise CurationError(f"Another run is using {folder}.") from error
