"""Runs of a benchmark that are kept in a file, so that an interrupted one goes on."""

import json

from joblib import Parallel, delayed
from tqdm import tqdm


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
        JSON lines, one a key.

    Returns
    -------
    results : list
        In the order of the keys.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = path.read_text().splitlines() if path.exists() else []
    finished = {tuple(line["key"]): line["result"] for line in map(json.loads, lines)}
    missing = [key for key in keys if key not in finished]
    outputs = Parallel(jobs, return_as="generator_unordered")(
        delayed(_with_key)(function, key) for key in missing
    )
    with path.open("a") as file:
        for key, result in tqdm(outputs, total=len(missing)):
            finished[key] = result
            file.write(json.dumps({"key": key, "result": result}) + "\n")
            file.flush()
    return [finished[key] for key in keys]


def _with_key(function, key):
    return key, function(*key)
