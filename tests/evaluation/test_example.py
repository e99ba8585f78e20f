from pathlib import Path
from runpy import run_path

from PIL import Image

EXAMPLE = Path(__file__).parents[2] / "examples" / "tail_evaluation.py"


def test_tail_evaluation_runs_and_writes_its_figure(tmp_path, capsys):
    output = tmp_path / "figure.png"
    run_path(str(EXAMPLE))["main"](output)
    with Image.open(output) as figure:
        assert min(figure.size) > 500
    printed = capsys.readouterr().out
    for part in ("imbalance ratio", "hgb_density_weights", "Few-shot MAE", str(output)):
        assert part in printed
