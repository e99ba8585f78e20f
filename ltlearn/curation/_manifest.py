"""The record of what was curated: a table to read and edit, and its metadata.

``manifest.csv`` has a row per candidate. Its column ``decision`` (keep or reject) may be edited by
hand: where it differs from ``automatic``, it is a person's decision and outlives every later run,
until it is set back to ``automatic``. It is about the content that the person saw: where a run does
not meet that content, the decision waits in ``manifest.json``, which repeats all of them, beside
what concerns the whole.
"""

import contextlib
import csv
import io
import json
from collections import defaultdict
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from ltlearn.curation._files import checksum, read_table, write_atomically
from ltlearn.exceptions import CurationError

KEEP, REJECT = "keep", "reject"
BY_HAND = "decided by hand"

# Spreadsheets run cells that begin like this as formulas; a quote before it makes them text.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
QUOTED_STARTS = tuple("'" + start for start in FORMULA_STARTS)


@dataclass
class ManifestRow:
    """A row of ``manifest.csv``.

    Parameters
    ----------
    name : str
        Auxiliary class.
    source : str
        Where the candidate came from: URL, path or row of a pool.
    decision : {"keep", "reject"}
        What holds. Edit this.
    automatic : {"keep", "reject"}
        What the filter decided.
    reason : str
        Why.
    anchor : str
        The nearest target class of those that the class was proposed for.
    similarity : str
        Cosine similarity to the anchor's prototype, to four decimals.
    near : str
        Target classes that the candidate counts as a neighbor of: a JSON list.
    file : str
        Image file, relative to the folder of the manifest where it lies inside.
    checksum : str
        SHA-256 of the content.
    license, license_url, creator, landing_page : str
        What the source says about the rights.
    retrieved : str
        When the candidate was fetched or read: ISO 8601, UTC.
    proposer, prompt_hash : str
        What proposed the class for the anchor, and the hash of the request answered with it.

    Examples
    --------
    Rows are attributes of what :func:`~ltlearn.curation.curate` returns:

    >>> from collections import Counter
    >>> data = load_curated("curated")  # doctest: +SKIP
    >>> Counter(row.reason for row in data.rows if not row.kept)  # doctest: +SKIP
    """

    name: str
    source: str
    decision: str
    automatic: str
    reason: str
    anchor: str
    similarity: str
    near: str
    file: str
    checksum: str
    license: str
    license_url: str
    creator: str
    landing_page: str
    retrieved: str
    proposer: str
    prompt_hash: str

    @property
    def key(self):
        """What identifies the candidate in a run."""
        return self.name, self.source

    @property
    def content(self):
        """What a decision is about."""
        return self.name, self.source, self.checksum

    @property
    def kept(self):
        return self.decision == KEEP

    @property
    def by_hand(self):
        return self.decision != self.automatic or self.reason.startswith(_by_hand(self.decision))


COLUMNS = [field.name for field in fields(ManifestRow)]


def make_rows(candidates, verdicts, proposals, folder):
    """Rows of candidates and what was decided about them.

    Parameters
    ----------
    candidates : sequence of Candidate
    verdicts : sequence of Verdict
    proposals : sequence of Proposal
    folder : path-like
        Where the manifest will be.

    Returns
    -------
    rows : list of ManifestRow
    """
    proposal_of = {(proposal.name, proposal.anchor): proposal for proposal in proposals}
    rows = []
    for candidate, verdict in zip(candidates, verdicts, strict=True):
        proposal = proposal_of.get((candidate.name, verdict.anchor))
        decision = KEEP if verdict.keep else REJECT
        rows.append(
            ManifestRow(
                name=candidate.name,
                source=candidate.source,
                decision=decision,
                automatic=decision,
                reason=verdict.reason,
                anchor=verdict.anchor,
                similarity="" if verdict.similarity is None else f"{verdict.similarity:.4f}",
                near=json.dumps(verdict.near, ensure_ascii=False),
                file=_relative(candidate.item, folder),
                checksum=candidate.checksum or _checksum(candidate.item),
                license=candidate.license,
                license_url=candidate.license_url,
                creator=candidate.creator,
                landing_page=candidate.landing_page,
                retrieved=candidate.retrieved,
                proposer=proposal.proposer if proposal else "",
                prompt_hash=proposal.prompt_hash if proposal else "",
            )
        )
    return rows


def apply_edits(rows, earlier):
    """Let decisions made by hand in an earlier manifest hold.

    Parameters
    ----------
    rows : list of ManifestRow
        Changed in place.
    earlier : list of ManifestRow
        Where two are about the same content, the later one counts.

    Returns
    -------
    waiting : list of ManifestRow
        Earlier rows decided by hand whose candidate is no longer there, has other content, or
        cannot be used although it is to be kept.
    """
    current = {row.content: row for row in rows}
    waiting = []
    for edit in {row.content: row for row in earlier}.values():
        if not edit.by_hand:
            continue
        row = current.get(edit.content)
        if row is None or (edit.kept and not row.anchor):
            waiting.append(edit)
        else:
            row.decision = edit.decision
            row.reason = f"{_by_hand(edit.decision)}; without: {row.reason}"
    return waiting


def neighbors_of(rows):
    """Neighbor relation of the kept rows.

    An auxiliary class is a neighbor of every target class that one of its kept candidates is near
    to. A candidate near none, kept by hand, counts for its anchor.

    Parameters
    ----------
    rows : sequence of ManifestRow

    Returns
    -------
    neighbors : dict
        Maps names of target classes to sorted lists of auxiliary classes.
    """
    neighbors = defaultdict(set)
    for row in rows:
        if row.kept:
            for anchor in json.loads(row.near) or [row.anchor]:
                neighbors[anchor].add(row.name)
    return {anchor: sorted(names) for anchor, names in sorted(neighbors.items())}


def write_manifest(folder, rows, metadata):
    """Write ``manifest.json`` and ``manifest.csv``, each as a whole.

    The table comes last: by then, every decision made by hand is in the other file.
    """
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, COLUMNS)
    writer.writeheader()
    writer.writerows({k: _quote(v) for k, v in asdict(row).items()} for row in rows)
    text = json.dumps(metadata, ensure_ascii=False, indent=1)
    write_atomically(Path(folder) / "manifest.json", text + "\n")
    write_atomically(Path(folder) / "manifest.csv", table.getvalue())


def read_manifest(folder):
    """Rows of ``manifest.csv``, edited or not.

    Raises
    ------
    FileNotFoundError
        When there is no manifest.
    CurationError
        When it cannot be read, a column is missing, a decision is neither keep nor reject, or
        another cell is not of its kind.
    """
    path = Path(folder) / "manifest.csv"
    try:
        table = read_table(path, COLUMNS)
    except ValueError as error:
        raise CurationError(str(error)) from error
    rows = [ManifestRow(**{k: _unquote(row[k]) for k in COLUMNS}) for row in table]
    for line, row in enumerate(rows, start=2):
        row.decision = row.decision.strip().lower()
        if row.decision not in (KEEP, REJECT):
            raise CurationError(
                f"{path}, row {line}: the decision is {row.decision!r}; it must be {KEEP!r} or "
                f"{REJECT!r}."
            )
        try:
            float(row.similarity or 0)
            names = json.loads(row.near)
        except ValueError as error:
            raise CurationError(f"{path}, row {line}: {error}. Edit decisions only.") from error
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise CurationError(f"{path}, row {line}: near is {row.near}, not a list of names.")
    return rows


def read_metadata(folder):
    """What ``manifest.json`` has.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    CurationError
        When it cannot be read.
    """
    path = Path(folder) / "manifest.json"
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        for target in metadata["targets"]:
            target["name"], target["label"]
        for checksums in dict(metadata.get("protected", {})).values():
            iter(checksums)
        return {
            **metadata,
            # Missing where it was written before such decisions were repeated there.
            "by_hand": [ManifestRow(**row) for row in metadata.get("by_hand", [])],
        }
    except (ValueError, KeyError, TypeError) as error:
        raise CurationError(
            f"{path} is damaged: {error!r}. Restore it; or remove it and run the curation again, "
            "which forgets decisions made by hand about candidates that manifest.csv lacks."
        ) from error


def read_earlier(folder):
    """What an earlier run left, if there was one: rows decided by hand before it, and its rows."""
    decided, rows = [], []
    with contextlib.suppress(FileNotFoundError):
        decided = read_metadata(folder)["by_hand"]
    with contextlib.suppress(FileNotFoundError):
        rows = read_manifest(folder)
    return decided, rows


def _checksum(item):
    """SHA-256 of a file that its source gave none for; empty where there is no such file."""
    with contextlib.suppress(OSError, TypeError):
        return checksum(Path(item).read_bytes())
    return ""


def _by_hand(decision):
    return f"{BY_HAND}: {decision}"


def _relative(item, folder):
    if not isinstance(item, str):
        return ""
    path, folder = Path(item).resolve(), Path(folder).resolve()
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def _quote(value):
    return "'" + value if value.startswith((*FORMULA_STARTS, *QUOTED_STARTS)) else value


def _unquote(value):
    return value[1:] if value.startswith(("'" + "'", *QUOTED_STARTS)) else value
