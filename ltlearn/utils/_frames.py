"""Data frames of other libraries as those of pandas."""

import numpy as np


def as_pandas(X):
    """A pandas frame for a data frame of another library, such as polars; anything else as it is.

    Columns of numbers become floats where some are missing, texts and categories become objects,
    with None where they are missing.
    """
    is_other = hasattr(X, "columns") and hasattr(X, "dtypes") and not hasattr(X, "iloc")
    if not is_other or not hasattr(X, "__getitem__"):
        return X
    import pandas as pd

    return pd.DataFrame({name: np.asarray(X[name]) for name in X.columns})


def without_extension_types(frame):
    """A pandas frame whose nullable and Arrow columns are plain ones.

    Numbers with gaps become floats with NaN, all else objects with None; columns of categories
    stay what they are.
    """
    import pandas as pd

    plain = {}
    for name in frame.columns:
        column = frame[name]
        if isinstance(column.dtype, np.dtype | pd.CategoricalDtype):
            continue
        if getattr(column.dtype, "kind", "O") in "biuf":
            plain[name] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        else:
            plain[name] = column.astype(object).where(column.notna(), None)
    return frame.assign(**plain) if plain else frame
