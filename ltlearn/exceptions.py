"""Errors and warnings raised by ltlearn, each under one root."""


class LTLearnError(Exception):
    """Root of every error that ltlearn defines."""


class LTLearnWarning(UserWarning):
    """Root of every warning that ltlearn defines."""


class NonFiniteLossError(LTLearnError, FloatingPointError):
    """Training produced a loss that is not a finite number."""


class EmptyBandWarning(LTLearnWarning):
    """A label band (head, middle or tail) holds no sample; its metric is NaN."""


class SmallSampleWarning(LTLearnWarning):
    """Too few samples for the requested estimate to be trusted."""
