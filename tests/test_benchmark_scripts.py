"""Parts of the benchmarks that would be wrong without anybody noticing, and scripts few can run."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import structural_similarity

from ltlearn import Whole
from ltlearn.options import Auxiliary

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def run(load, monkeypatch):
    def run(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        load(script).main()

    return run


class TestHouseImages:
    def test_no_house_is_in_two_parts(self, load):
        house = np.repeat(np.arange(40), 3)
        images = load("_images").HouseImages(np.arange(120), np.zeros(120), house)
        parts = images.split_for(0)
        assert sorted(np.concatenate(parts)) == list(range(120))
        assert sum(len(np.unique(house[part])) for part in parts) == 40
        assert not np.array_equal(parts[2], images.split_for(1)[2])

    @pytest.mark.parametrize("number", range(4))
    def test_distortions_grow_with_their_strength(self, number, load):
        coarse = np.random.default_rng(0).integers(256, size=(20, 20, 3), dtype=np.uint8)
        photo = Image.fromarray(coarse).resize((80, 80))
        distort = load("_images").DISTORTIONS[number]
        similarity = [
            structural_similarity(
                np.asarray(photo),
                np.asarray(distort(photo, strength, np.random.default_rng(0))),
                channel_axis=2,
                data_range=255,
            )
            for strength in (0.0, 0.3, 0.6, 0.9)
        ]
        assert similarity == sorted(similarity, reverse=True)
        assert similarity[0] > 0.9 > similarity[-1]


class TestOversampling:
    """The control of mixup must not mix, on any of the ways that training takes."""

    def test_rows_are_appended_as_they_are(self, load):
        features = torch.arange(20.0).reshape(10, 2)
        scores = torch.arange(10.0)
        more, more_scores, label = load("_rows").AnchorCopies(0.3)(features, scores, 5 * scores)
        assert len(more) == 13
        torch.testing.assert_close(more, features[more_scores.long()])
        torch.testing.assert_close(label, 5 * more_scores)

    @pytest.mark.parametrize("alignment_weight", [0, 0.1])
    def test_training_sees_repeated_rows(self, load, alignment_weight, monkeypatch):
        """What reaches the loss, gathered by a network that gives the scores themselves."""
        X = np.linspace(0, 1, 64)[:, None]
        seen = []

        def record(self, outputs, target):
            seen.append((outputs.detach().squeeze(1), target["score"]))
            return outputs.square().mean()

        model = load("_rows").OversamplingRegressor(
            backbone="mlp",
            mixup_strength=0.5,
            alignment_weight=alignment_weight,
            max_epochs=3,
            early_stopping=False,
            batch_size=32,
        )
        objective, _ = model.fit(X, X[:, 0])._objective()
        monkeypatch.setattr(objective, "_task_loss", record)
        model.fit(X, X[:, 0])
        assert len(seen) == 6
        for outputs, scores in seen:
            assert len(outputs) == len(scores) == 48
            pairs = list(zip(outputs.tolist(), scores.tolist(), strict=True))
            assert set(pairs[32:]) <= set(pairs[:32])


def test_random_pseudo_labels_are_those_of_other_rows(load, skewed_regression):
    X, y = skewed_regression
    settings = {"loss": "emd", "max_epochs": 20, "random_state": 0}
    settings |= {"enhancers__sharpening": 1.0, "enhancers__confidence_threshold": 0.3}
    picked, dealt = (
        cls().set_params(**settings).fit(X[:100], y[:100], X_unlabeled=X[100:150]).pseudo_labels_[0]
        for cls in (load("_rows").ELTARegressor, load("_rows").RandomPseudoLabelsRegressor)
    )
    np.testing.assert_array_equal(dealt["index"], picked["index"])
    assert not np.array_equal(dealt["score"], picked["score"])
    np.testing.assert_array_equal(np.sort(dealt["score"]), np.sort(picked["score"]))


class TestComparators:
    """Every comparator learns, and from what it is meant to."""

    @pytest.fixture
    def problem(self):
        rng = np.random.default_rng(0)
        y = np.repeat(["a", "b", "c"], [80, 30, 10])
        centers = {"a": (0, 0), "b": (0, 4), "c": (4, 0)}
        return np.array([centers[label] for label in y]) + rng.normal(size=(120, 2)), y

    @pytest.mark.parametrize("name", ["FocalClassifier", "LDAMClassifier", "ResamplingClassifier"])
    def test_they_learn(self, name, problem, load):
        script = load("_comparators")
        model = getattr(script, name)(**script.PLAIN, max_epochs=30, random_state=0).fit(*problem)
        assert model.score(*problem) > 0.85

    def test_resampling_draws_all_classes_alike(self, problem, load):
        codes = np.repeat([0, 1, 2], [800, 300, 100])
        rows = load("_comparators")._BalancedEpochs(codes, seed=0)()
        counts = np.bincount(codes[rows.numpy()])
        assert counts.sum() == 1200
        np.testing.assert_allclose(counts, 400, atol=4 * np.sqrt(1200 * 2 / 9))

    def test_merged_classes_are_auxiliary_classes_no_more(self, problem, load):
        X, y = problem
        script = load("_comparators")
        model = script.MergingClassifier(
            auxiliary=Auxiliary(neighbors={"c": ["d"]}), max_epochs=30, random_state=0
        )
        X_aux, y_aux = X[y == "c"] + 1.0, np.full(10, "d")
        model.fit(X, y, X_aux=Whole(X_aux), y_aux=Whole(y_aux))
        expected = load("_comparators").GranularClassifier(max_epochs=30, random_state=0)
        expected.fit(np.concatenate([X, X_aux]), np.concatenate([y, np.full(10, "c")]))
        np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), np.ones(120), rtol=1e-5)
        assert model.classes_.tolist() == ["a", "b", "c"]
        assert (
            model.predict_proba(X).argmax(1) == expected.predict_proba(X).argmax(1)
        ).mean() > 0.9


@pytest.mark.parametrize("dataset", ["ava", "para"])
def test_aesthetics_on_a_generated_folder(dataset, run, tmp_path):
    rng = np.random.default_rng(0)
    columns = [f"score{k}" for k in range(2, 12)] if dataset == "ava" else ["score"]
    lines = [",".join(["image_id", *columns])]
    for number in range(40):
        pixels = rng.integers(256, size=(16, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg")
        lines.append(",".join(map(str, [number, *rng.integers(1, 9, size=len(columns))])))
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(lines))
    run(
        *("aesthetics", "--dataset", dataset, "--images", tmp_path, "--labels", labels),
        *("--backbone", "test_resnet", "--no-pretrained", "--epochs", 1, "--num-workers", 0),
        *("--device", "cpu", "--out", tmp_path / "out"),
    )
    table = (tmp_path / "out" / f"aesthetics_{dataset}.md").read_text()
    for row in ("plain", "plain + stretch", "ELTA"):
        assert f"| {row} |" in table
    assert ("| EMD |" in table) == (dataset == "ava")
    assert "nan" not in table


class TestVerdicts:
    @pytest.mark.parametrize("name", ["synthetic", "digits"])
    def test_classes_are_rare_in_training_and_as_frequent_as_others_in_tests(self, name, load):
        rows = load("verdicts").class_rows
        X_train, y_train, X, y = rows(name, None, np.random.default_rng(0))
        counts = np.sort(np.bincount(y_train))
        assert (counts[-1], counts[0]) == {"synthetic": (300, 10), "digits": (120, 6)}[name]
        ratios = counts[1:] / counts[:-1]
        np.testing.assert_allclose(ratios, np.median(ratios), rtol=0.15)
        assert np.ptp(np.bincount(y)) == 0
        seen = {row.tobytes() for row in X_train}
        assert np.mean([row.tobytes() in seen for row in X]) < 0.01
        other = rows(name, None, np.random.default_rng(1))[1]
        assert not np.array_equal(np.bincount(other), np.bincount(y_train))

    def test_scores_are_split_without_overlap(self, load):
        X_train, y_train, X, y = load("verdicts").regression_rows(
            "diabetes", None, np.random.default_rng(0)
        )
        assert (len(X_train), len(y_train), len(X), len(y)) == (265, 265, 177, 177)
        assert len(np.unique(np.vstack([X_train, X]), axis=0)) == 442

    def test_reports_are_counted(self, load, tmp_path):
        """Any sign counts for two fits of one model, a gain must be in the few-shot band."""

        def line(key, with_refits, without, covers=True):
            signs = {"5": with_refits, "0": without}
            result = {
                n: {"signs": dict(zip(("many", "few"), pair, strict=True)), "covers_seeds": covers}
                for n, pair in signs.items()
            }
            return json.dumps({"key": key, "result": result}) + "\n"

        same = ["same", "ELTARegressor", "diabetes"]
        better = ["better", "GranularClassifier", "digits"]
        path = tmp_path / "verdicts.jsonl"
        path.write_text(
            line([*same, 0], (0, 0), (-1, 0))
            + line([*same, 1], (0, 1), (0, 0), covers=False)
            + line([*same, 2], (0, 0), (0, -1))
            + line([*same, 3], (0, 0), (0, 0))
            + line([*better, 0], (1, 0), (0, 1))
            + line([*better, 10], (0, 1), (0, -1))
        )
        same, better = load("verdicts").result_tables(path).values()
        assert same.splitlines()[2:] == [
            "| ELTARegressor, diabetes | 1 of 4 (25 %) | 2 of 4 (50 %) | 1 of 4 (25 %) |"
        ]
        assert better.splitlines()[2:] == [
            "| the first 10 | 0 of 1 (0 %) | 1 of 1 (100 %) |",
            "| later ones | 1 of 1 (100 %) | 0 of 1 (0 %) |",
        ]
