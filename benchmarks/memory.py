"""How much memory does a fit take on top of its data?

Command::

    python benchmarks/memory.py [--rows 20000 80000 320000 1280000] [--estimators NAME ...]
        [--kinds mapped "in memory"] [--out FOLDER]

``fit`` for one epoch on float32 numbers with 32 columns that are mapped from a file or held in
memory. Each fit runs in a process of its own, after a small one that loads all there is to load.
Reported is what the process allocates at most (anonymous pages, looked at every two milliseconds)
beyond what it held before the call, the data and the labels included; pages of the mapped file do
not count. Held fixed: columns, defaults of the estimators (so the MLP and the classifier hold out a
tenth of the rows), one thread. Every run is appended to ``OUT/memory.jsonl``; the table goes to
``OUT/memory.md``.
"""

import argparse
import json
import re
import tempfile
import threading
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from _data import CACHE
from _markdown import markdown_table
from _results import noted
from render import write_page

from ltlearn import ELTARegressor, GranularClassifier

LEGEND = """
A network, its gradients, its optimizer and the activations of a batch take some megabytes whatever
the data; so the share of small tables is large. The last columns are what a byte more of data
takes, from the size above.
"""

N_COLUMNS = 32
KINDS = ("mapped", "in memory")
ROWS = (20_000, 80_000, 320_000, 1_280_000)
ESTIMATORS = {
    "ELTARegressor": lambda: ELTARegressor(max_epochs=1, random_state=0),
    "ELTARegressor, early stopping": lambda: ELTARegressor(
        max_epochs=1, early_stopping=True, random_state=0
    ),
    "ELTARegressor, MLP": lambda: ELTARegressor(backbone="mlp", max_epochs=1, random_state=0),
    "GranularClassifier": lambda: GranularClassifier(
        max_epochs=1, early_stopping=True, random_state=0
    ),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS, default=list(ESTIMATORS))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--out", type=Path, default=CACHE)
    options = parser.parse_args()
    path = options.out / "memory.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    with noted(path), tempfile.TemporaryDirectory() as folder:
        for n_rows in options.rows:
            table = str(Path(folder) / "X.npy")
            write_table(table, n_rows)
            for estimator in options.estimators:
                for kind in options.kinds:
                    with get_context("fork").Pool(1) as process:
                        run = process.apply(measure, (table, estimator, kind))
                    with path.open("a") as file:
                        file.write(json.dumps(run) + "\n")
    print(write_page(path))


def write_table(path, n_rows):
    table = np.lib.format.open_memmap(path, "w+", np.float32, (n_rows, N_COLUMNS))
    rng = np.random.default_rng(0)
    for start in range(0, n_rows, 10_000):
        table[start : start + 10_000] = rng.normal(size=(min(10_000, n_rows - start), N_COLUMNS))
    table.flush()


def measure(path, name, kind):
    """Bytes of the data, and the most that a fit takes on top of them."""
    torch.set_num_threads(1)
    estimator = ESTIMATORS[name]()
    X = np.load(path, mmap_mode="r")
    y = np.exp(np.asarray(X[:, 0], dtype=np.float64) / 2)
    if isinstance(estimator, GranularClassifier):
        y = np.digitize(y, [1.0, 2.0])
    ESTIMATORS[name]().fit(np.array(X[:500]), y[:500])
    if kind == "in memory":
        X = np.array(X)
    with peak_of_anonymous_memory() as peak:
        estimator.fit(X, y)
    return {
        "estimator": name,
        "kind": kind,
        "n_rows": len(X),
        "data": X.nbytes,
        "on_top": peak[0],
    }


class peak_of_anonymous_memory:
    """Context whose value is a list with the most bytes held in it beyond those held before."""

    def __enter__(self):
        self.before, self.most, self.is_over = anonymous_bytes(), [0], threading.Event()
        self.thread = threading.Thread(target=self._look, daemon=True)
        self.thread.start()
        return self.most

    def __exit__(self, *error):
        self.is_over.set()
        self.thread.join()

    def _look(self):
        while not self.is_over.wait(0.002):
            self.most[0] = max(self.most[0], anonymous_bytes() - self.before)


def anonymous_bytes():
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(r"RssAnon:\s+(\d+)", status)[1])


def result_tables(path):
    """The table of a file of measurements, by title."""
    runs = [json.loads(line) for line in path.read_text().splitlines()]
    latest = {(r["n_rows"], r["estimator"], r["kind"]): r for r in runs}
    sizes, tables = sorted({key[0] for key in latest}), {}
    for name in (name for name in ESTIMATORS if any(key[1] == name for key in latest)):
        rows, above = [], dict.fromkeys(KINDS)
        for n_rows in sizes:
            runs = {kind: latest.get((n_rows, name, kind)) for kind in KINDS}
            shares = [share(run) for run in runs.values()]
            rows.append([f"{n_rows:,}", *shares, *(growth(runs[k], above[k]) for k in KINDS)])
            above = runs
        titles = [*KINDS, *(f"a byte more, {kind}" for kind in KINDS)]
        tables[name] = markdown_table(["rows", *titles], rows)
    return tables


def share(run):
    if run is None:
        return "–"
    return f"{run['on_top'] / 1e6:.0f} MB, {run['on_top'] / run['data']:.2f} ×"


def growth(run, above):
    if run is None or above is None:
        return "–"
    return f"{(run['on_top'] - above['on_top']) / (run['data'] - above['data']):.2f}"


if __name__ == "__main__":
    main()
