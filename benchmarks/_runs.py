"""Runs of a benchmark that are kept in a file, so that an interrupted one goes on."""

import json

from _results import noted
from joblib import Parallel, delayed
from tqdm import tqdm


def read_runs(path):
    """Results by key, in the order of the file."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {tuple(line["key"]): line["result"] for line in map(json.loads, lines)}


def run_missing(function, keys, jobs, path):
    """Call ``function`` for every key whose result the file does not hold yet.

    Parameters
    ----------
    function : callable
        Takes the elements of a key; returns something that JSON can hold.
    keys : list of tuple of str and numbers
    jobs : int
        Processes.
    path : pathlib.Path
        JSON lines, one a key; in the end in the order of the keys, others last.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    finished = read_runs(path)
    missing = [key for key in keys if key not in finished]
    outputs = Parallel(jobs, return_as="generator_unordered")(
        delayed(_with_key)(function, key) for key in missing
    )
    with noted(path), path.open("a") as file:
        for key, result in tqdm(outputs, total=len(missing)):
            finished[key] = result
            file.write(_line(key, result))
            file.flush()
    ordered = path.with_suffix(".ordered")
    ordered.write_text(
        "".join(_line(key, finished[key]) for key in dict.fromkeys([*keys, *finished]))
    )
    ordered.replace(path)


def _with_key(function, key):
    return key, function(*key)


def _line(key, result):
    return json.dumps({"key": key, "result": result}) + "\n"
