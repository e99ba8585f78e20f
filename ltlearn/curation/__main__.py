"""Curation from the command line: ``python -m ltlearn.curation --help``."""

import argparse
from pathlib import Path

from ltlearn.curation import (
    FeatureFilter,
    FetchRules,
    FolderSource,
    ListProposer,
    LLMProposer,
    OpenverseSearch,
    WebSource,
    WordNetProposer,
    class_targets,
    curate,
    screen,
)
from ltlearn.curation._curate import DINOV2

DESCRIPTION = """\
Find, fetch and filter auxiliary images for long-tailed classes, with provenance.

Training images lie in one sub-folder per class. Without --names, --wordnet or --llm, all classes
of the bank are tried for every target class. An interrupted command continues when run again;
decisions edited in manifest.csv hold."""


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, default=None
        Those of the process by default.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    images, labels = _read_folder(options.train)
    targets = list(class_targets(labels, n_names=options.n_names).values())
    rules = FetchRules(**({"user_agent": options.user_agent} if options.user_agent else {}))
    if options.bank is not None:
        source = FolderSource(options.bank, max_per_class=options.images_per_class)
    else:
        search = OpenverseSearch(license=options.license, rules=rules)
        source = WebSource(search, images_per_class=options.images_per_class, rules=rules)
    proposer = _proposer(options, source)
    if proposer is None and options.bank is None:
        parser.error("--openverse needs --names, --wordnet or --llm")
    if options.dry_run:
        _dry_run(proposer, source, targets, options.out)
        return
    data = curate(
        images,
        labels,
        source=source,
        folder=options.out,
        proposer=proposer,
        filter=FeatureFilter(
            _features(options),
            anchor_similarity=options.anchor_similarity,
            duplicate_similarity=options.duplicate_similarity,
        ),
        protected={name: _read_folder(path)[0] for name, path in options.protect},
        n_names=options.n_names,
    )
    print(data)


def _parser():
    parser = argparse.ArgumentParser(
        prog="python -m ltlearn.curation",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--train", required=True, type=Path, help="folder of training images")
    parser.add_argument("--out", required=True, type=Path, help="output folder")
    parser.add_argument(
        "--protect",
        action="append",
        default=[],
        type=_named_path,
        metavar="NAME=FOLDER",
        help="validation or test images (class folders) that must not be collected; repeatable",
    )

    names = parser.add_argument_group("names").add_mutually_exclusive_group()
    names.add_argument("--names", type=Path, metavar="CSV", help="list with columns anchor, name")
    names.add_argument(
        "--wordnet",
        nargs="?",
        const="/usr/share/wordnet",
        metavar="FOLDER",
        help="WordNet's database files; with --bank, only names of its classes are proposed",
    )
    names.add_argument("--llm", metavar="MODEL", help="language model; key in OPENAI_API_KEY")
    parser.add_argument("--base-url", help="endpoint of --llm, if not OpenAI's own")
    parser.add_argument(
        "--n-names",
        nargs=2,
        type=int,
        default=(3, 10),
        metavar=("LOW", "HIGH"),
        help="names for the largest and the smallest class (default: 3 10)",
    )

    sources = parser.add_argument_group("images").add_mutually_exclusive_group(required=True)
    sources.add_argument("--bank", type=Path, help="local image bank: class folders, or a CSV file")
    sources.add_argument("--openverse", action="store_true", help="openly licensed images")
    parser.add_argument("--license", default="", help="for --openverse, e.g. cc0,pdm,by")
    parser.add_argument("--user-agent", help="for --openverse: who you are, how to contact you")
    parser.add_argument("--images-per-class", type=int, default=50, help="default: 50")

    filters = parser.add_argument_group("filter")
    filters.add_argument("--backbone", default=DINOV2, help=f"timm name (default: {DINOV2})")
    filters.add_argument(
        "--anchor-similarity", type=float, help="absolute threshold; the paper's is 0.7"
    )
    filters.add_argument(
        "--duplicate-similarity", type=float, help="absolute threshold; the paper's is 0.98"
    )

    parser.add_argument(
        "--dry-run", action="store_true", help="show names, or prompts and their size, and stop"
    )
    return parser


def _proposer(options, source):
    if options.names is not None:
        return ListProposer(options.names)
    if options.wordnet is not None:
        vocabulary = None if options.bank is None else source.class_names()
        return WordNetProposer(options.wordnet, vocabulary=vocabulary)
    if options.llm is not None:
        return LLMProposer(options.llm, base_url=options.base_url)
    return None


def _features(options):
    from ltlearn.features import BackboneFeatures

    return BackboneFeatures(backbone=options.backbone, cache=options.out / "features", verbose=1)


def _dry_run(proposer, source, targets, folder):
    if isinstance(proposer, LLMProposer):
        proposer.dry_run(targets, folder)
        return
    if proposer is None:
        print("\n".join(source.class_names()))
        return
    accepted, dropped = screen(proposer.propose(targets, folder), targets)
    for proposal in accepted:
        print(f"{proposal.anchor}: {proposal.name}")
    for proposal, reason in dropped:
        print(f"{proposal.anchor}: {proposal.name} (dropped: {reason})")


def _read_folder(root):
    """Paths and labels of images in class folders."""
    classes = FolderSource(root).files()
    labels = [name for name, files in classes.items() for _ in files]
    return [str(path) for files in classes.values() for path, _ in files], labels


def _named_path(text):
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=FOLDER")
    return name, Path(path)


if __name__ == "__main__":
    main()
