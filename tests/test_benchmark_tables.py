"""What the benchmarks show is what their files of measurements hold."""

import importlib
import json
import re
import statistics
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
RESULTS = BENCHMARKS / "results"
MEASURED = sorted(
    path
    for path in RESULTS.iterdir()
    if path.suffix in {".csv", ".json", ".jsonl"} and not path.name.endswith(".meta.json")
)


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


def cells(text, title, row):
    """Cells of the row, by column, of the table under a title."""
    lines = text.split(f"## {title}\n")[1].strip().splitlines()
    header, *rows = ([c.strip() for c in line[1:-1].split("|")] for line in lines if "|" in line)
    return dict(zip(header, next(cells for cells in rows if cells[0] == row), strict=True))


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.name)
def test_pages_are_those_of_the_measurements(path, load):
    assert path.with_suffix(".md").read_text() == load("render").page(path)


def test_readme_has_the_summaries_of_the_measurements(load):
    assert (BENCHMARKS / "README.md").read_text() == load("render").readme()


def test_every_page_and_note_has_measurements():
    stems = {path.stem for path in MEASURED}
    assert {path.stem for path in RESULTS.glob("*.md")} == stems
    assert {path.name.removesuffix(".meta.json") for path in RESULTS.glob("*.meta.json")} == stems


def test_readme_is_short_links_every_page_and_no_other():
    text = (BENCHMARKS / "README.md").read_text()
    assert len(text.splitlines()) <= 120
    assert set(re.findall(r"\]\(results/(.*?)\.md\)", text)) == {path.stem for path in MEASURED}
    assert len(re.findall("<!-- summary: ", text)) == len(re.findall(r"(?m)^\| ---", text))


def test_a_table_against_sums_over_the_file():
    few = []
    for line in (RESULTS / "granular_features.jsonl").read_text().splitlines():
        for record in json.loads(line)["result"]:
            if (record["data"], record["row"], record["schedule"]) == ("cifar", "CE", "epochs"):
                few.append(100 * record["few"])
    page = (RESULTS / "granular_features.md").read_text()
    shown = cells(page, f"cifar, features, equal epochs, {len(few)} seeds", "CE")
    assert shown["few"] == f"{statistics.mean(few):.1f} ± {statistics.stdev(few):.1f}"


def test_changes_in_the_readme_against_the_page():
    """Mixup on flights, from the means that the page shows."""
    title = "flights, all labels: against plain MSE, 10 seeds"
    page = (RESULTS / "elta_tabular.md").read_text()
    plain, mixup = (cells(page, title, row) for row in ("plain MSE", "mixup 0.1"))
    readme = (BENCHMARKS / "README.md").read_text()
    title = "ELTA on tables: do enhancers, or reweighting, help the tail beyond simple controls?"
    shown = cells(readme, title, "mixup 0.1")["flights"]
    for change, column in zip(shown.split(" / "), ("MAE", "MAE rarest"), strict=True):
        after, before = (float(row[column].split()[0]) for row in (mixup, plain))
        assert float(change.rstrip("*")) == pytest.approx(100 * (after / before - 1), abs=0.1)
        assert change.endswith("*") == mixup[column].endswith("*")


class TestNotes:
    @pytest.fixture
    def today(self, load, monkeypatch):
        """Set the day of a run."""

        def today(day):
            date = type(
                "date", (), {"today": classmethod(lambda cls: cls), "isoformat": lambda: day}
            )
            monkeypatch.setattr(load("_results"), "date", date)

        return today

    def test_runs_are_noted_when_they_measure_and_go_on_from_the_file(self, load, today, tmp_path):
        runs, results = load("_runs"), load("_results")
        path, fitted = tmp_path / "some.jsonl", []

        def fit(name, seed):
            fitted.append((name, seed))
            return {"value": seed}

        def noted():
            return [run["date"] for run in results.read_notes(path)]

        today("2030-01-01")
        runs.run_missing(fit, [("b", 1), ("b", 0)], 1, path)
        today("2030-01-02")
        runs.run_missing(fit, [("b", 0), ("b", 1)], 1, path)
        assert noted() == ["2030-01-01"]
        today("2030-01-03")
        runs.run_missing(fit, [("a", 0), ("b", 0)], 1, path)
        assert fitted == [("b", 1), ("b", 0), ("a", 0)]
        assert list(runs.read_runs(path)) == [("a", 0), ("b", 0), ("b", 1)]
        assert noted() == ["2030-01-01", "2030-01-03"]
        results.note_run(path, anew=True)
        assert noted() == ["2030-01-03"]
        assert "torch" in results.format_notes(path)

    def test_an_interrupted_run_is_noted(self, load, tmp_path):
        def fit(seed):
            if seed:
                raise KeyboardInterrupt
            return seed

        path = tmp_path / "some.jsonl"
        with pytest.raises(KeyboardInterrupt):
            load("_runs").run_missing(fit, [(0,), (1,)], 1, path)
        assert list(load("_runs").read_runs(path)) == [(0,)]
        assert len(load("_results").read_notes(path)) == 1

    def test_unknown_is_said(self, load, tmp_path):
        text = load("_results").format_notes(tmp_path / "some.csv")
        assert text == "Date and versions: not recorded."


def test_a_single_run_has_neither_spread_nor_star(load, tmp_path):
    """A table of differences survives the file, and says nothing that it does not know."""
    (tmp_path / "some.csv").write_text(
        "estimator,kind,metric,band,mean,std,n,wins,starred,set,part\n"
        "plain,estimator,mae,overall,2.0,,1,,,data,all\n"
        "other,estimator,mae,overall,1.5,,1,1.0,,data,all\n"
    )
    text = "## " + "\n".join(*load("_rows").result_tables(tmp_path / "some.csv").items())
    other = cells(text, "data, all: against plain, 1 seeds", "other")
    assert {other[name] for name in ("MAE", "MAE wins", "SRCC")} == {"1.5", "100%", "–"}
