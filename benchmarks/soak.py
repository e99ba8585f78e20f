"""Does any call give NaN, crash, or fail without saying which argument is to blame?

    python benchmarks/soak.py --cases 10000

Draws calls of metrics, weighting, calibrators, splitters, readers of label files and both
estimators (one or two epochs), with ordinary, extreme and illegal arguments, from the strategies
that the tests use. Held fixed: the strategies, their shares (one case in five is an estimator's)
and the seed. Lists each kind of violation once, then prints the number of cases and of violations.
"""

import argparse
import re
import sys
from collections import Counter

import numpy as np
import torch
from _estimator_strategies import ESTIMATORS
from _strategies import FUNCTIONS, violation
from hypothesis import HealthCheck, Phase, given, seed, settings
from tqdm import tqdm

GROUPS = {**FUNCTIONS, "estimators": ESTIMATORS}
SHARES = {
    "metrics": 0.35,
    "weighting": 0.1,
    "calibration": 0.15,
    "splitters": 0.15,
    "datasets": 0.05,
    "estimators": 0.2,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=sorted(GROUPS), help="one group alone")
    options = parser.parse_args()
    torch.set_num_threads(1)
    shares = SHARES if options.only is None else {options.only: 1.0}
    n_cases, violations = 0, []
    for group, share in shares.items():
        outcomes = run(GROUPS[group], round(options.cases * share), options.seed, group)
        n_cases += len(outcomes)
        violations += [(case, text) for case, text in outcomes if text is not None]
    report(violations)
    print(f"{n_cases:,} cases, {len(violations)} violations")
    sys.exit(bool(violations))


def run(strategy, n_cases, random_seed, group):
    """Cases of a strategy and what was wrong with each."""
    outcomes = []
    progress = tqdm(total=n_cases, desc=group, disable=None)
    while len(outcomes) < n_cases:  # Hypothesis ends a run where cases begin to repeat

        @seed(random_seed)
        @settings(
            max_examples=n_cases - len(outcomes),
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def make(case):
            outcomes.append((case, violation(case)))
            progress.update()

        make()
        random_seed += 1
    progress.close()
    return outcomes


def report(violations):
    """Every kind of violation once, with its first case."""
    kinds = [(case.subject, re.sub(r"[-+.\d]+", "#", text)) for case, text in violations]
    counts = Counter(kinds)
    shown = set()
    for (case, text), kind in zip(violations, kinds, strict=True):
        if kind not in shown:
            shown.add(kind)
            with np.printoptions(threshold=12, edgeitems=3):
                print(f"\n{counts[kind]} x {case.subject}: {text}\n  {case.arguments!r}"[:1000])


if __name__ == "__main__":
    main()
