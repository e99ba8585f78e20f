"""The Python examples of the README run as printed, one after the other."""

import re
import warnings
from pathlib import Path

import pytest
import sklearn

from ltlearn.exceptions import LTLearnWarning

README = Path(__file__).parents[1] / "README.md"


def test_python_examples():
    examples = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert len(examples) == 3
    namespace = {}
    with sklearn.config_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore", LTLearnWarning)  # small data, as an example should have
        for example in examples:
            exec(compile(example, str(README), "exec"), namespace)
    assert namespace["accuracy"] > 0.75  # of ten digits, of which a guess gets 0.1
    # The dial moves predictions to rare scores, which are the high ones.
    model, X = namespace["model"], namespace["table"]
    assert model.predict(X, tail=0.5).mean() > model.predict(X).mean()


def files_named():
    """Paths in the README, and in the page that says what is from where."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)\)", README.read_text())
    pages = README.read_text() + (README.parent / "docs" / "provenance.md").read_text()
    return sorted({*links, *re.findall(r"`((?:tests|examples)/[\w/.]+)`", pages)})


@pytest.mark.parametrize("path", files_named())
def test_files_that_are_named_exist(path):
    assert (README.parent / path).exists()
