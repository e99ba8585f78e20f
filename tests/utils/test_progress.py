"""Bars suit the place and make no noise about it."""

import subprocess
import sys

from ltlearn.utils._progress import progress_bar

NOTEBOOK = """
import sys, types, warnings
from tqdm import TqdmWarning
# A notebook's kernel without ipywidgets.
fake = types.ModuleType("IPython")
fake.get_ipython = lambda: types.SimpleNamespace(config={"IPKernelApp": {}})
sys.modules["IPython"] = fake
sys.modules["ipywidgets"] = None
warnings.simplefilter("error", TqdmWarning)
import ltlearn, ltlearn.evaluation, ltlearn.curation
from ltlearn.utils._progress import progress_bar
print(list(progress_bar(range(3))))
"""


def test_a_notebook_without_widgets_gets_bars_of_text_and_no_warning():
    done = subprocess.run([sys.executable, "-c", NOTEBOOK], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[0, 1, 2]\n"
    assert "3/3" in done.stderr


def test_nothing_to_do_shows_nothing(capsys):
    assert list(progress_bar([])) == []
    with progress_bar(total=0):
        pass
    assert capsys.readouterr().err == ""
    assert list(progress_bar([1, 2])) == [1, 2]
    assert "2/2" in capsys.readouterr().err
