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
    assert namespace["search"].best_score_ > 0.8  # the second search: balanced accuracy


@pytest.mark.parametrize("path", re.findall(r"`((?:tests|examples)/[\w/.]+)`", README.read_text()))
def test_files_named_in_the_readme_exist(path):
    assert (README.parent / path).exists()
