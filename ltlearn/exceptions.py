"""Errors and warnings raised by ltlearn, each under one root."""


class LTLearnError(Exception):
    """Root of every error that ltlearn defines."""


class LTLearnWarning(UserWarning):
    """Root of every warning that ltlearn defines."""


class NonFiniteLossError(LTLearnError, FloatingPointError):
    """Training produced a loss that is not a finite number."""


class EmptyBandWarning(LTLearnWarning):
    """A label band (head, middle or tail) holds no sample; its metric is NaN."""


class OutOfRangeWarning(LTLearnWarning):
    """Rows lie far outside what the training rows span: perhaps not scaled as these were."""


class DistinctValuesWarning(LTLearnWarning):
    """Hardly a value of a column of categories repeats: names, identifiers or free text."""


class SmallSampleWarning(LTLearnWarning):
    """Too few samples for the requested estimate to be trusted."""


class BadImageError(LTLearnError, OSError):
    """An image file is missing, damaged, too large, or of a kind that cannot be interpreted."""


class BadImageWarning(LTLearnWarning):
    """Image files were left out because they could not be read."""


class MissingWeightsError(LTLearnError, OSError):
    """Pretrained weights were asked for and could not be found or loaded.

    ``problem`` is the message without what to do about it in Python.
    """

    def __init__(self, problem, advice=""):
        super().__init__(f"{problem} {advice}".rstrip())
        self.problem = problem


class SavedFileError(LTLearnError, ValueError):
    """A saved file is of another kind or version, damaged, or made to do harm."""


class SavedFileWarning(LTLearnWarning):
    """A saved model comes from other versions, or was on a device that is not here."""


class WorkerLostError(LTLearnError, RuntimeError):
    """Processes or machines that computed died, and what they computed is lost."""


class CheckpointError(LTLearnError, ValueError):
    """A checkpoint belongs to another fit, is damaged, or cannot be used."""


class CheckpointWarning(LTLearnWarning):
    """The state of a training could not be written to its checkpoint."""


class InterruptedFitWarning(LTLearnWarning):
    """Training was interrupted, and what it had reached is kept as it was asked for."""


class FeatureCacheWarning(LTLearnWarning):
    """Features could not be written to the cache, so the next run computes them again."""


class CurationError(LTLearnError):
    """A step of curation could not do its work; what was done so far is kept."""


class BudgetExceededError(CurationError):
    """The next call to a paid endpoint would exceed the budget of calls or tokens."""


class FetchError(CurationError, OSError):
    """A URL could not be fetched. ``permanent`` says whether trying again is pointless."""

    def __init__(self, message, *, permanent):
        super().__init__(message)
        self.permanent = permanent


class CurationWarning(LTLearnWarning):
    """Something was left out while auxiliary data was curated."""


class RefitWarning(LTLearnWarning):
    """A fitted estimator could not be refitted as it was fitted, so its seeds are not counted."""
