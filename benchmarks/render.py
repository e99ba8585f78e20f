"""Write the tables of ``results/`` and of ``README.md`` from the measurements.

Command::

    python benchmarks/render.py [--results FOLDER]

Every script measures into a file and calls :func:`write_page` on it. With their default folders,
most do so in ``results/cache``; to publish a file, move it to ``results/`` with its ``.meta.json``,
which says when and with which versions it was made, and run this script.

A study has a line in ``STUDIES``. Its script has a function ``result_tables(path)``, from the file
to a dict of tables in Markdown by title, and may have a string ``LEGEND`` that stands above them.
Where a paragraph of ``README.md`` ends with ``<!-- summary: SCRIPT -->``, the script also has
``summary(folder)``, from the folder to the table that follows.
"""

import argparse
from importlib import import_module
from pathlib import Path

from _results import RESULTS, fill_summaries, format_page

README = Path(__file__).parent / "README.md"
# The command that makes each file.
STUDIES = {
    "tabular.jsonl": "tabular.py",
    "defaults.csv": "defaults.py",
    "elta_tabular.csv": "elta_tabular.py",
    "elta_images.csv": "elta_images.py",
    "granular_features.jsonl": "granular.py features",
    "granular_linear.jsonl": "granular.py linear",
    "granular_images.jsonl": "granular.py images --budget 0.7",
    "classes_features.jsonl": "classes.py features",
    "classes_tables.jsonl": "classes.py tables",
    "class_tail.jsonl": "class_tail.py",
    "auxiliary_heads.jsonl": "auxiliary_heads.py",
    "image_recipes.jsonl": "image_recipes.py",
    "granularity_study.jsonl": "granularity_study.py",
    "curation.json": "curation.py",
    "speed.jsonl": "speed.py",
    "coverage.json": "coverage.py",
    "stress.json": "stress.py",
    "verdicts.jsonl": "verdicts.py",
    "memory.jsonl": "memory.py",
    "gpu_check.jsonl": "gpu_session.py check",
    "gpu_cifar.jsonl": "gpu_session.py cifar",
    "gpu_siblings.jsonl": "gpu_session.py siblings",
    "gpu_photos.jsonl": "gpu_session.py photos",
    "aesthetics_ava.csv": "aesthetics.py --dataset ava",
    "aesthetics_aadb.csv": "aesthetics.py --dataset aadb",
    "aesthetics_tad66k.csv": "aesthetics.py --dataset tad66k",
    "aesthetics_para.csv": "aesthetics.py --dataset para",
}


def page(path):
    """The text of the page that shows a file of measurements."""
    command = STUDIES[path.name]
    script = import_module(command.partition(".")[0])
    question, legend = script.__doc__.splitlines()[0], getattr(script, "LEGEND", "")
    return format_page(path, question, command, legend, script.result_tables(path))


def write_page(path):
    """Write the page beside the measurements, and return its text."""
    text = page(path)
    path.with_suffix(".md").write_text(text)
    return text


def readme(folder=RESULTS):
    """The text of ``README.md`` with the summaries of the measurements in a folder."""
    return fill_summaries(README.read_text(), lambda name: import_module(name).summary(folder))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FOLDER")
    args = parser.parse_args()
    for name in STUDIES:
        if (args.results / name).exists():
            write_page(args.results / name)
    if args.results == RESULTS:
        README.write_text(readme())


if __name__ == "__main__":
    main()
