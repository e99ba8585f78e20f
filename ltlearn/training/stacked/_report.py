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

    Attributes
    ----------
    told : list of (list, list)
        Arguments of :meth:`of_groups`.
    """

    def __init__(self, n_fits, verbose):
        self.n_fits, self.verbose = n_fits, verbose
        self.bar = None
        self.told = []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.bar is not None:
            self.bar.close()
        if self.verbose < 2:
            return
        for reason, n in Counter(reason for _, reasons in self.told for reason in reasons).items():
            progress_class().write(f"{n} trained alone: {reason}")

    def show_bar(self):
        """Show the bar, if there is to be one."""
        if self.verbose and self.bar is None:
            self.bar = progress_bar(total=self.n_fits, desc="Trained", unit="fit")

    def of_groups(self, sizes, reasons):
        """Tell which trainings go on as stacks of these sizes; why others do not, at the end."""
        self.told.append((sizes, reasons))
        self.show_bar()  # not before, for it may be others who train
        if self.verbose > 1 and sizes:
            progress_class().write(f"{sum(sizes)} trainings in stacks of {sizes}")

    def done(self, n=1):
        """Tell that trainings have ended."""
        if self.bar is not None:
            self.bar.update(min(n, self.n_fits - self.bar.n))

    def of_share(self, told, n_fits):
        """Tell what another process has told, and that its fits have ended."""
        sizes = [size for sizes, _ in told for size in sizes]
        self.of_groups(sizes, [reason for _, reasons in told for reason in reasons])
        self.done(n_fits)
