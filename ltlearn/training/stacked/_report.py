"""Tell how trainings come along: a bar, and lines about what trains together."""

from collections import Counter

from ltlearn.utils._progress import progress_bar, progress_class


class Report:
    """What happens to a number of fits.

    Parameters
    ----------
    n_fits : int
    verbose : int
        1 shows a bar, 2 also prints lines.
    """

    def __init__(self, n_fits, verbose):
        self.n_fits, self.verbose = n_fits, verbose
        self.bar = None

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.bar is not None:
            self.bar.close()

    def of_groups(self, sizes, reasons):
        """Tell which trainings go on as stacks of these sizes, and why others train alone."""
        if self.verbose and self.bar is None:  # not where others train
            self.bar = progress_bar(total=self.n_fits, desc="Trained", unit="fit")
        if self.verbose < 2:
            return
        if sizes:
            progress_class().write(f"{sum(sizes)} trainings in stacks of {sizes}")
        for reason, n in Counter(reasons).items():
            progress_class().write(f"{n} trained alone: {reason}")

    def done(self, n=1):
        """Tell that trainings have ended."""
        if self.bar is not None:
            self.bar.update(min(n, self.n_fits - self.bar.n))
