"""What show_versions prints."""

import numpy
import torch

import ltlearn


def test_versions_of_what_is_installed(capsys):
    ltlearn.show_versions()
    lines = dict(line.split(": ", 1) for line in capsys.readouterr().out.splitlines())
    assert lines["ltlearn"] == ltlearn.__version__
    assert lines["numpy"] == numpy.__version__
    assert lines["torch"] == torch.__version__.split("+")[0] or lines["torch"] in torch.__version__
    assert "CUDA" in lines
