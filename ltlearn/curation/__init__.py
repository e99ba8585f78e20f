"""Auxiliary data for long-tailed classes: find, fetch and filter, with provenance.

:func:`curate` runs four steps, each an object that any other with the same small method can
replace (:mod:`ltlearn.curation.protocols`):

1. **Propose** names of categories near each target class, more for tail classes:
   :class:`LLMProposer`, :class:`WordNetProposer`, :class:`ListProposer`.
2. **Fetch** candidates: :class:`FolderSource` (a local bank of images), :class:`WebSource` (a
   search engine such as :class:`OpenverseSearch`, under :class:`FetchRules`), :class:`RowPool`
   (feature rows instead of images).
3. **Filter** by features: :class:`FeatureFilter`.
4. **Assemble** a :class:`CuratedData`, and record every candidate in the output folder.

The output folder
-----------------
``manifest.csv``
    A row per candidate: class, anchor, similarity, decision and reason, file and checksum, source,
    license, time, proposer and hash of the prompt. Edit its column ``decision`` to overrule.
``manifest.json``
    The steps and their settings, target classes, names proposed and dropped, neighbors, decisions
    made by hand.
``contact_sheet.html``
    Thumbnails of what was kept and rejected, for review.
``images/``, ``journal.jsonl``
    What was fetched, named by checksum, and the record of every search and URL.
``llm-cache/``
    Requests to a language model and their answers, never a key.
``features/``
    Features of images, where the default filter embeds them.

The paper's settings and ours
-----------------------------
The method is that of Zhao et al., "Granularity Matters in Long-Tail Learning", CVPR 2025, whose
curation was not published as code.

==========================  ===================================  ===================================
step                        paper                                default here
==========================  ===================================  ===================================
names                       a language model, structured prompt  no default: language model, WordNet
                            with examples                        or a list; own prompt and examples
names per class             more for tail classes                3 for the largest to 10 for the
                                                                 smallest class, linear in log size
names that hit a target     not specified                        dropped: equal or contained, in any
                                                                 case, spelling and plural
images                      crawled                              local bank, or openly licensed
                                                                 images by a search API
features                    DINOv2                               DINOv2 ViT-S/14, or any transformer
near the anchor             cosine to the prototype above 0.7    at least the 95 % quantile of the
                                                                 other target classes' samples
near-duplicates of targets  cosine above 0.98                    at least the 99 % quantile of
                                                                 training samples' nearest-neighbor
                                                                 cosines, or correlation of grey
                                                                 thumbnails at least 0.98;
                                                                 validation and test data are
                                                                 guarded as well
near-duplicates of others   not specified                        dropped, the first stays
whole classes               no rule                              neighbor of an anchor if 25 % of
                                                                 its candidates are near it
==========================  ===================================  ===================================

``FeatureFilter(features, anchor_similarity=0.7, duplicate_similarity=0.98, min_share=0)`` has the
paper's thresholds. They belong to DINOv2: cosines of other backbones have other ranges.

From the command line: ``python -m ltlearn.curation --help``.
"""

from ltlearn.curation._contact_sheet import write_contact_sheet
from ltlearn.curation._curate import CuratedData, curate, load_curated
from ltlearn.curation._filter import FeatureFilter
from ltlearn.curation._folder import FolderSource
from ltlearn.curation._list import ListProposer
from ltlearn.curation._llm import LLMProposer, Usage
from ltlearn.curation._manifest import ManifestRow
from ltlearn.curation._names import class_targets, screen
from ltlearn.curation._openverse import OpenverseSearch
from ltlearn.curation._rows import RowPool
from ltlearn.curation._rules import FetchRules
from ltlearn.curation._types import Candidate, Proposal, SearchResult, Target, Verdict
from ltlearn.curation._web import WebSource
from ltlearn.curation._wordnet import WordNetProposer

__all__ = [
    "Candidate",
    "CuratedData",
    "FeatureFilter",
    "FetchRules",
    "FolderSource",
    "LLMProposer",
    "ListProposer",
    "ManifestRow",
    "OpenverseSearch",
    "Proposal",
    "RowPool",
    "SearchResult",
    "Target",
    "Usage",
    "Verdict",
    "WebSource",
    "WordNetProposer",
    "class_targets",
    "curate",
    "load_curated",
    "screen",
    "write_contact_sheet",
]
