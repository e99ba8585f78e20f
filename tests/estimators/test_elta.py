"""ELTARegressor: scores and distributions, bins, reweighting, self-training, head retraining."""

import numpy as np
import pytest
import torch
from sklearn.model_selection import GridSearchCV, cross_validate
from torch import nn

from ltlearn import ELTARegressor, Whole
from ltlearn.enhancers import TailMixup, label_similarity
from ltlearn.networks._heads import MSEHead
from ltlearn.networks._network import Network
from ltlearn.objectives._elta import ELTAObjective, two_hot
from ltlearn.options import Bins
from ltlearn.weighting import label_density, label_density_weights


def quick(**params):
    return ELTARegressor(backbone="mlp", max_epochs=5, random_state=0).set_params(**params)


def least_squares(X, y, weight):
    """Predictions of weighted least squares, by the normal equations."""
    Z = np.c_[X, np.ones(len(X))]
    return Z @ np.linalg.solve(Z.T @ (weight[:, None] * Z), Z.T @ (weight * y))


# A linear model that gets to its least squares.
LINEAR = {
    "hidden_layer_sizes": (),
    "mixup_strength": 0.0,
    "early_stopping": False,
    "batch_size": 200,
    "lr": 0.05,
    "training__weight_decay": 0.0,
}


class TestTwoHot:
    @pytest.mark.parametrize("n_bins", [2, 3, 50, 1000])
    def test_expectation_equals_the_score(self, n_bins):
        centers = torch.linspace(-3.7, 912.3, n_bins, dtype=torch.float64)
        scores = torch.cat([torch.empty(200, dtype=torch.float64).uniform_(-3.7, 912.3), centers])
        distribution = two_hot(scores, centers)
        torch.testing.assert_close(distribution @ centers, scores, rtol=1e-12, atol=1e-9)
        torch.testing.assert_close(distribution.sum(1), torch.ones_like(scores))
        assert (distribution >= 0).all()
        assert ((distribution > 0).sum(1) <= 2).all()

    def test_scores_beyond_the_bins_count_as_the_outermost(self):
        centers = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
        distribution = two_hot(torch.tensor([-5.0, 9.0], dtype=torch.float64), centers)
        assert distribution.tolist() == [[1, 0, 0], [0, 0, 1]]


class TestDistributions:
    def test_read_only_scores(self, skewed_regression):
        X, y = skewed_regression
        expected = quick(loss="emd", early_stopping=False).fit(X, y).predict(X)
        y.flags.writeable = False
        got = quick(loss="emd", early_stopping=False).fit(X, y).predict(X)
        np.testing.assert_array_equal(got, expected)

    def test_votes_are_normalized_and_learned(self, score_distributions):
        X, votes = score_distributions
        model = quick(max_epochs=60).fit(X, votes)
        assert model.loss_ == "emd"
        np.testing.assert_array_equal(model.bin_centers_, [1, 2, 3, 4, 5])
        predicted = model.predict_distribution(X)
        np.testing.assert_allclose(predicted.sum(axis=1), 1)
        np.testing.assert_allclose(model.predict(X), predicted @ [1, 2, 3, 4, 5])
        assert model.score(X, votes) > 0.8
        same = quick(max_epochs=60, loss="emd").fit(X, votes / 32)
        np.testing.assert_array_equal(same.predict(X), model.predict(X))

    def test_mse_on_distributions_learns_their_expectation(self, score_distributions):
        X, votes = score_distributions
        scores = votes / votes.sum(axis=1, keepdims=True) @ np.arange(1.0, 6.0)
        on_votes = quick(loss="mse", max_epochs=20).fit(X, votes)
        on_scores = quick(loss="mse", max_epochs=20).fit(X, scores)
        np.testing.assert_allclose(on_votes.predict(X), on_scores.predict(X), rtol=1e-6)
        assert on_votes.score(X, votes) == pytest.approx(on_scores.score(X, scores))

    def test_other_ranges_move_the_centers(self, score_distributions):
        X, votes = score_distributions
        model = quick(bins__score_range=(0, 100), early_stopping=False).fit(X, votes)
        np.testing.assert_array_equal(model.bin_centers_, [0, 25, 50, 75, 100])
        assert model.score_mean_ == pytest.approx(
            np.mean(votes @ model.bin_centers_ / votes.sum(axis=1))
        )

    def test_an_array_as_score_range(self, score_distributions):
        X, votes = score_distributions
        model = quick(bins__score_range=np.array([0, 100])).fit(X, votes)
        np.testing.assert_array_equal(model.bin_centers_, [0, 25, 50, 75, 100])

    @pytest.mark.parametrize("bad_row", [[0, 0, 0, 0, 0], [1, -1, 1, 0, 0]])
    def test_rows_that_are_no_distribution_are_named(self, score_distributions, bad_row):
        X, votes = score_distributions
        votes[17] = bad_row
        with pytest.raises(ValueError, match=r"positive sum\. First bad row: 17"):
            quick().fit(X, votes)

    def test_another_number_of_bins_later(self, score_distributions):
        X, votes = score_distributions
        model = quick().fit(X, votes)
        with pytest.raises(ValueError, match="y has 4 score bins; fit saw 5"):
            model.score(X, votes[:, :4])

    def test_searches_take_distributions(self, score_distributions):
        X, votes = score_distributions
        search = GridSearchCV(quick(), {"mixup_strength": [0, 0.5]}, cv=2).fit(X, votes)
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()


class TestScalarsOverBins:
    def test_learns_and_stays_in_range(self, skewed_regression):
        X, y = skewed_regression
        model = quick(loss="emd", max_epochs=60, bins__n_bins=50).fit(X, y)
        assert model.predict_distribution(X).shape == (200, 50)
        assert model.score(X, y) > 0.8
        far = model.predict(100 * X)
        assert far.min() >= model.bin_centers_[0]
        assert far.max() <= model.bin_centers_[-1]

    def test_there_is_no_distribution_without_bins(self, skewed_regression):
        model = quick().fit(*skewed_regression)
        assert not hasattr(model, "predict_distribution")
        with pytest.raises(AttributeError) as error:
            model.predict_distribution(skewed_regression[0])
        assert 'use loss="quantile"' in str(error.value.__cause__)

    def test_logit_adjustment_moves_predictions_towards_rare_scores(self, skewed_regression):
        X, y = skewed_regression
        plain, adjusted = (
            quick(loss="emd", max_epochs=40, bins=bins).fit(X, y)
            for bins in (Bins(score_range=(0, 8)), Bins(score_range=(0, 8), logit_adjustment=1.0))
        )
        rare = y > np.quantile(y, 0.9)
        assert adjusted.predict(X)[rare].mean() > plain.predict(X)[rare].mean()

    @pytest.mark.parametrize("logit_adjustment", [0.0, 0.5, 1.0])
    def test_validation_loss_is_that_of_the_training_shares(
        self, skewed_regression, logit_adjustment
    ):
        """Predicted distributions times the prior, against the bins around the true scores."""
        X, y = skewed_regression
        bins = Bins(score_range=(0, 12), n_bins=13, logit_adjustment=logit_adjustment)
        model = quick(loss="emd", bins=bins, early_stopping=False)
        model.fit(X[:150], y[:150], X_val=X[150:], y_val=y[150:])
        density = label_density(y[:150], at=np.arange(13.0))
        prior = np.maximum(density / density.sum(), 1 / 150)
        total = errors = 0.0
        for p, score in zip(model.predict_distribution(X[150:]), y[150:], strict=True):
            errors += abs(sum(k * p[k] for k in range(13)) - score)
            p = p * prior**logit_adjustment
            p, score = p / p.sum(), min(score, 12.0)
            q = [max(0.0, 1 - abs(score - k)) for k in range(13)]
            squares = [sum(p[: k + 1] - q[: k + 1]) ** 2 for k in range(13)]
            total += np.sqrt(np.mean(squares))
        row = model.history_[-1]
        assert row["valid_loss"] == pytest.approx(total / 50, rel=1e-4)
        assert row["valid_mae"] == pytest.approx(errors / 50, rel=1e-4)

    def test_logit_adjustment_is_refused_where_bins_are_no_posterior(
        self, skewed_regression, score_distributions
    ):
        with pytest.raises(ValueError, match="bins are not a posterior"):
            quick(bins__logit_adjustment=1.0).fit(*score_distributions)
        for loss in ("mse", "quantile"):
            with pytest.raises(ValueError, match=f"loss='{loss}' there are no logits of bins"):
                quick(bins__logit_adjustment=1.0, loss=loss).fit(*skewed_regression)

    @pytest.mark.parametrize("score_range", [(3, 3), (5, 1), (0, np.inf)])
    def test_impossible_ranges(self, skewed_regression, score_range):
        with pytest.raises(ValueError, match="score_range must be two finite numbers"):
            quick(loss="emd", bins__score_range=score_range).fit(*skewed_regression)


class TestEnhancers:
    def test_temperatures_are_in_deviations_of_the_scores(self, skewed_regression):
        X, y = skewed_regression
        settings = {
            "mixup_strength": 0.5,
            "enhancers__tail_temperature": 0.3,
            "enhancers__pair_temperature": 5.0,
        }
        stars, prices = (quick(**settings).fit(X, scale * y) for scale in (1.0, 1e5))
        np.testing.assert_allclose(prices.predict(X) / 1e5, stars.predict(X), rtol=1e-4)

    def test_the_published_unit_is_one_score(self, skewed_regression):
        X, y = skewed_regression
        # exp(d / 0.5) on raw differences d is exp(d_std / (0.5 / deviation)) on standardized ones
        raw = quick(enhancers__temperature_unit=1.0, early_stopping=False).fit(X, y)
        assert raw.net_.criterion_.temperature_scale == pytest.approx(np.std(y))

    @pytest.mark.parametrize(
        ("strength", "tail_temperature", "pair_temperature"),
        [(0.0, 0.5, 2.0), (0.1, 0.5, 2.0), (0.5, 5.0, 2.0), (0.5, 0.2, 0.01), (0.5, 0.2, 20.0)],
    )
    def test_mixup_acts_by_the_settings(
        self, skewed_regression, monkeypatch, strength, tail_temperature, pair_temperature
    ):
        """How many rows are mixed, by which shares, and how close in score the partners are."""
        X, y = skewed_regression
        drawn, draw = [], TailMixup.draw

        def recording_draw(self, scores, generator=None):
            drawn.append((scores, draw(self, scores, generator)))
            return drawn[-1][1]

        monkeypatch.setattr(TailMixup, "draw", recording_draw)
        quick(
            mixup_strength=strength,
            enhancers__tail_temperature=tail_temperature,
            enhancers__pair_temperature=pair_temperature,
            batch_size=50,
            early_stopping=False,
            loss="mse",
        ).fit(X, y)
        assert bool(drawn) == (strength > 0)
        gaps, usual_gaps = [], []
        for scores, (anchors, partners, shares) in drawn:
            assert scores.shape == (4, 50)
            assert anchors.shape == (4, round(strength * 50))
            for z, i, j, share in zip(scores.double(), anchors, partners, shares, strict=True):
                distance = (z - z.mean()).abs()
                expected = ((distance[i] - distance[j]) / tail_temperature).sigmoid()
                np.testing.assert_allclose(share, expected, rtol=1e-4, atol=1e-6)
                gaps += (z[i] - z[j]).abs().tolist()
                usual_gaps += (z[i, None] - z).abs().mean(1).tolist()
        if pair_temperature == 20.0:  # next to always the closest scores
            assert np.mean(gaps) < 0.25 * np.mean(usual_gaps)
        elif pair_temperature == 0.01:  # any score, nearly
            assert np.mean(gaps) > 0.8 * np.mean(usual_gaps)

    @pytest.mark.parametrize("alignment_weight", [0.0, 0.3, 2.0])
    def test_alignment_counts_by_its_weight(self, skewed_regression, alignment_weight):
        X, y = skewed_regression
        model = quick(alignment_weight=alignment_weight).fit(X, y)
        for row in model.history_:
            assert ("train_alignment" in row) == (alignment_weight > 0)
            task, alignment = row.get("train_task", row["train_loss"]), row.get("train_alignment")
            expected = task + alignment_weight * (alignment or 0)
            assert row["train_loss"] == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize("scheme", ["inverse", "sqrt_inverse", None])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_weights_and_reweighting_are_those_of_least_squares(
        self, skewed_regression, scheme, weighted
    ):
        X, y = skewed_regression
        given = np.random.default_rng(2).uniform(0.1, 5, size=200) if weighted else np.ones(200)
        model = quick(**LINEAR, loss="mse", reweighting=scheme, max_epochs=250)
        model.fit(X, y, sample_weight=given if weighted else None)
        by_label = np.ones(200) if scheme is None else label_density_weights(y, scheme=scheme)
        expected = least_squares(X, y, given * by_label)
        np.testing.assert_allclose(model.predict(X), expected, atol=0.02 * y.std())

    def test_without_enhancers_is_as_if_there_were_none(self, skewed_regression):
        X, y = skewed_regression
        base = quick(loss="emd", lr=0.01, dropout=0.1, mixup_strength=0.0)
        enhancers = {
            "mixup_strength": 0.5,
            "alignment_weight": 1.0,
            "reweighting": "inverse",
            "bins__logit_adjustment": 1.0,
            "enhancers__head_retraining_epochs": 3,
            "enhancers__self_training_rounds": 2,
            "enhancers__sharpening": 0.0,
            "enhancers__confidence_threshold": 0.0,
        }
        expected = base.fit(X, y).predict(X)
        model = quick(loss="emd", lr=0.01, dropout=0.1).set_params(**enhancers)
        params = model.get_params()
        plain = model.without_enhancers()
        assert not hasattr(plain, "net_")
        assert model.get_params() == params
        plain.fit(X, y, X_unlabeled=X[:50] + 0.1)
        np.testing.assert_array_equal(plain.predict(X), expected)
        assert plain.pseudo_labels_ == []
        enhanced = model.fit(X, y, X_unlabeled=X[:50] + 0.1)
        assert len(enhanced.pseudo_labels_) == 2
        assert not np.allclose(enhanced.predict(X), expected, rtol=0.01)


class TestObjective:
    """The training step against formulas written out by hand."""

    def test_squared_error_with_weights_and_alignment(self):
        torch.manual_seed(0)
        network = torch.nn.Module()
        network.features, network.apply_head = torch.nn.Linear(3, 4), torch.nn.Linear(4, 1)
        X, score, weight = torch.randn(6, 3), torch.randn(6), torch.rand(6)
        objective = ELTAObjective(alignment_weight=0.3)
        terms = objective.training_terms(network, X, {"score": score, "weight": weight})
        features = network.features(X).detach().numpy().astype(float)
        outputs = network.apply_head(network.features(X)).detach().numpy()[:, 0]
        task = np.mean(weight.numpy() * (outputs - score.numpy()) ** 2)
        spread, total = float(score.max() - score.min()), 0.0
        for i in range(6):
            for j in range(6):
                cosine = features[i] @ features[j]
                cosine /= np.linalg.norm(features[i]) * np.linalg.norm(features[j])
                total += (cosine - (1 - abs(float(score[i] - score[j])) / spread)) ** 2
        assert terms["task"].item() == pytest.approx(task, rel=1e-5)
        assert terms["alignment"].item() == pytest.approx(total / 36, rel=1e-4)
        assert terms["loss"].item() == pytest.approx(task + 0.3 * total / 36, rel=1e-4)

    def test_mixup_adds_rows_that_the_head_and_the_loss_see(self):
        torch.manual_seed(0)
        seen = []
        network = torch.nn.Module()
        network.features = torch.nn.Identity()
        network.apply_head = lambda features: seen.append(features) or features.sum(1, keepdim=True)
        score = torch.randn(8)
        objective = ELTAObjective(mixup_strength=0.5)
        terms = objective.training_terms(network, score[:, None].clone(), {"score": score})
        assert seen[0].shape == (12, 1)
        # features equal to scores stay so when both are mixed alike, so the loss is zero
        assert terms["loss"].item() == pytest.approx(0.0, abs=1e-10)

    @pytest.mark.parametrize("weighted", [False, True])
    @pytest.mark.parametrize("n_samples", [1, 2, 16])
    def test_mixing_outputs_of_a_linear_head_equals_mixing_features(self, n_samples, weighted):
        torch.manual_seed(0)
        network = Network(lambda shape: torch.nn.Linear(*shape, 5), MSEHead(0.0), (3,))
        X = torch.randn(n_samples, 3)
        target = {"score": torch.randn(n_samples)}
        if weighted:
            target["weight"] = torch.rand(n_samples)
        losses, gradients = [], []
        for is_head_linear in (False, True):
            objective = ELTAObjective(mixup_strength=0.5, is_head_linear=is_head_linear)
            torch.manual_seed(1)
            loss = objective.training_terms(network, X, target)["loss"]
            losses.append(loss)
            gradients.append(torch.autograd.grad(loss, list(network.parameters())))
        torch.testing.assert_close(*losses)
        torch.testing.assert_close(*gradients)

    @pytest.mark.parametrize("is_head_linear", [False, True])
    def test_targets_prepared_ahead_give_the_loss_of_their_batches(self, is_head_linear):
        network = Network(lambda shape: torch.nn.Linear(*shape, 5), MSEHead(0.0), (3,))
        objective = ELTAObjective(mixup_strength=0.5, is_head_linear=is_head_linear)
        score, X = torch.randn(4, 8), torch.randn(4, 8, 3)
        drawn = []
        draw = objective.mixup.draw
        objective.mixup.draw = lambda scores, **kwargs: (
            drawn.append(draw(scores, **kwargs)) or drawn[-1]
        )
        prepared = objective.prepare_targets({"score": score})
        for number in range(4):
            batch = {name: values[number] for name, values in prepared.items()}
            loss = objective.training_terms(network, X[number], batch)["loss"]
            errors = network(X[number]).squeeze(1) - score[number]
            i, j, share = (part[number] for part in drawn[0])
            mixed = share * errors[i] + (1 - share) * errors[j]
            torch.testing.assert_close(loss, torch.cat([errors, mixed]).square().mean())
        assert len(drawn) == 1

    @pytest.mark.parametrize("mixup_strength", [0.0, 0.5])
    @pytest.mark.parametrize("n_samples", [8, 400])
    def test_alignment_prepared_ahead_is_that_of_the_mixed_rows(self, n_samples, mixup_strength):
        network = Network(lambda shape: torch.nn.Linear(*shape, 5), MSEHead(0.0), (3,))
        objective = ELTAObjective(mixup_strength=mixup_strength, alignment_weight=0.5)
        score, X = torch.randn(4, n_samples), torch.randn(4, n_samples, 3)
        prepared = objective.prepare_targets({"score": score}, n_features=5)
        for number in range(4):
            batch = {name: values[number] for name, values in prepared.items()}
            terms = objective.training_terms(network, X[number], batch)
            features, _ = objective.pass_through(network, X[number], batch)
            directions = torch.nn.functional.normalize(features.double(), dim=1)
            similarity = label_similarity(batch["score"].double())
            expected = (directions @ directions.T - similarity).square().mean().float()
            torch.testing.assert_close(terms["alignment"], expected)
            torch.testing.assert_close(terms["loss"], terms["task"] + expected / 2)

    def test_an_epoch_is_drawn_ahead_unless_batches_are_cut(self, monkeypatch):
        shapes = []
        draw = TailMixup.draw

        def recording_draw(self, scores, generator=None):
            shapes.append(tuple(scores.shape))
            return draw(self, scores, generator)

        monkeypatch.setattr(TailMixup, "draw", recording_draw)
        X, y = np.random.default_rng(0).normal(size=(2, 50, 1))
        settings = {"batch_size": 20, "max_epochs": 1, "early_stopping": False}
        quick(**settings).fit(X, y[:, 0])
        assert shapes == [(2, 17), (1, 16)]
        shapes.clear()
        quick(**settings, training__accumulation_steps=2).fit(X, y[:, 0])
        assert shapes == [(9,), (8,), (9,), (8,), (8,), (8,)]

    def test_validation_errors_are_in_the_users_units(self):
        objective = ELTAObjective(score_scale=100.0)
        outputs, score = torch.tensor([[0.5], [1.0]]), torch.tensor([0.0, 1.0])
        terms = objective.validation_terms(outputs, {"score": score})
        assert terms["mae"].item() == pytest.approx(25.0)
        weighted = {"score": score, "weight": torch.tensor([1.0, 3.0])}
        assert objective.validation_terms(outputs, weighted)["mae"].item() == pytest.approx(12.5)


class TestSelfTraining:
    @pytest.fixture
    def unlabeled(self):
        return np.random.default_rng(3).normal(size=(300, 4))

    def test_confident_rows_join_the_training_set(self, skewed_regression, unlabeled):
        X, y = skewed_regression
        model = quick(loss="emd", max_epochs=20, enhancers__self_training_rounds=2)
        model.fit(X, y, X_unlabeled=unlabeled)
        assert len(model.pseudo_labels_) == 2
        for picked in model.pseudo_labels_:
            assert 0 < len(picked["index"]) <= 300
            np.testing.assert_allclose(picked["distribution"].sum(axis=1), 1)
            np.testing.assert_allclose(picked["distribution"] @ model.bin_centers_, picked["score"])
        assert [*dict.fromkeys(row["stage"] for row in model.history_)] == [
            "fit",
            "self-training 1",
            "self-training 2",
        ]
        assert model.score(X, y) > 0.5

    def test_every_stage_makes_the_same_number_of_updates_an_epoch(
        self, skewed_regression, unlabeled
    ):
        X, y = skewed_regression
        model = quick(loss="emd", batch_size=16).fit(X, y, X_unlabeled=unlabeled)
        updates = {row["train_batch_count"] for row in model.history_}
        assert updates == {-(-180 // 16)}  # 20 of the 200 rows are held out

    def test_given_settings_are_used(self, skewed_regression, unlabeled):
        X, y = skewed_regression
        model = quick(loss="emd", enhancers__sharpening=3.0, enhancers__confidence_threshold=0.2)
        model.fit(X, y, X_unlabeled=unlabeled)
        picked = model.pseudo_labels_[0]
        assert (picked["sharpening"], picked["confidence_threshold"]) == (3.0, 0.2)
        # the rule of the paper on the first-stage model, by hand
        first = quick(loss="emd", enhancers__self_training_rounds=0).fit(
            X, y, X_unlabeled=unlabeled
        )
        p = first.predict_distribution(unlabeled)
        z = (first.predict(unlabeled) - first.score_mean_) / first.score_scale_
        kept = []
        for row, (distribution, score) in enumerate(zip(p, z, strict=True)):
            q = distribution ** np.exp(3.0 * abs(score - z.mean()))
            if (q / q.sum()).max() > 0.2:
                kept.append(row)
        np.testing.assert_array_equal(picked["index"], kept)

    @pytest.mark.parametrize("seed", range(2))
    @pytest.mark.parametrize("given", [{}, {"sharpening": 0.7}, {"confidence_threshold": 0.3}])
    def test_settings_are_chosen_by_held_out_rows(self, skewed_regression, unlabeled, seed, given):
        """The best of the published candidates and of three shares of the rows, in plain loops."""
        X, y = skewed_regression
        X, y, X_val, y_val = X[:160], y[:160], X[160:], y[160:]
        settings = {"loss": "emd", "bins__n_bins": 10, "max_epochs": 12, "random_state": seed}
        first = quick(**settings).fit(X, y, X_val=X_val, y_val=y_val)
        settings |= {f"enhancers__{name}": value for name, value in given.items()}
        model = quick(**settings).fit(X, y, X_val=X_val, y_val=y_val, X_unlabeled=unlabeled)
        picked = model.pseudo_labels_[0]

        def confidences(rows, beta):
            p, z = first.predict_distribution(rows), first.predict(rows) / first.score_scale_
            found = []
            for distribution, score in zip(p, z, strict=True):
                q = distribution ** np.exp(beta * abs(score - z.mean()))
                found.append((q / q.sum()).max())
            return np.array(found)

        betas = [given["sharpening"]] if "sharpening" in given else [1.0, 1.1, 1.2, 1.25]
        thresholds = [0.7, 0.75, 0.8, 0.85, 0.9]
        thresholds += np.quantile(confidences(X_val, betas[0]), [0.75, 0.5, 0.25]).tolist()
        if "confidence_threshold" in given:
            thresholds = [given["confidence_threshold"]]
        errors, candidates = np.abs(first.predict(X_val) - y_val), []
        for beta in betas:
            for threshold in thresholds:
                kept = confidences(X_val, beta) > threshold
                if kept.sum() >= 10:
                    candidates.append((errors[kept].mean(), -kept.sum(), beta, threshold))
        best = min(candidates, key=lambda each: (round(each[0], 9), each[1]))
        assert (picked["sharpening"], picked["confidence_threshold"]) == pytest.approx(best[2:])
        kept = np.flatnonzero(confidences(unlabeled, best[2]) > best[3])
        np.testing.assert_array_equal(picked["index"], kept)
        # Rows are labeled with what was predicted, not with what was sharpened to pick them.
        labels = first.predict_distribution(unlabeled[kept])
        np.testing.assert_allclose(picked["distribution"], labels, rtol=1e-6)
        np.testing.assert_allclose(picked["score"], first.predict(unlabeled[kept]), rtol=1e-6)

    def test_nothing_confident_keeps_the_first_model(self, skewed_regression, unlabeled):
        X, y = skewed_regression
        model = quick(loss="emd", enhancers__sharpening=0.0, enhancers__confidence_threshold=0.999)
        model.fit(X, y, X_unlabeled=unlabeled)
        assert len(model.pseudo_labels_[0]["index"]) == 0
        plain = quick(loss="emd").fit(X, y)
        np.testing.assert_array_equal(model.predict(X), plain.predict(X))

    def test_on_distributions_with_weights_and_reweighting(self, score_distributions, unlabeled):
        X, votes = score_distributions
        model = quick(reweighting="sqrt_inverse", max_epochs=20)
        model.fit(X, votes, sample_weight=votes.sum(axis=1), X_unlabeled=unlabeled)
        assert np.isfinite(model.predict(X)).all()

    def test_rows_are_held_out_only_to_choose_on(self, skewed_regression, unlabeled):
        X, y = skewed_regression
        settings = {"loss": "emd", "early_stopping": False, "batch_size": 1, "max_epochs": 1}

        def n_training_rows(**params):
            model = quick(**settings, **params).fit(X, y, X_unlabeled=unlabeled)
            return model.history_[0]["train_batch_count"]

        assert n_training_rows() == 180
        assert n_training_rows(enhancers__self_training_rounds=0) == 200
        assert (
            n_training_rows(enhancers__sharpening=1.0, enhancers__confidence_threshold=0.99) == 200
        )

    def test_modules_take_numbers_of_several_types(self, skewed_regression):
        X, y = skewed_regression
        X = np.round(8 * X)
        model = quick(backbone=nn.Identity, loss="emd")
        expected = model.fit(X, y, X_unlabeled=X[:50]).predict(X)
        got = model.fit(X.astype(int), y, X_unlabeled=X[:50].astype(np.float32)).predict(X)
        np.testing.assert_array_equal(got, expected)
        with pytest.raises(ValueError, match="the same kind"):
            model.fit(X, y, X_unlabeled=X[:50].astype(np.int8))

    def test_squared_error_has_nothing_to_sharpen(self, skewed_regression, unlabeled):
        with pytest.raises(ValueError, match='needs loss="emd"'):
            quick().fit(*skewed_regression, X_unlabeled=unlabeled)

    def test_unlabeled_rows_stay_whole_in_cross_validation(self, skewed_regression, unlabeled):
        X, y = skewed_regression
        model = quick(
            loss="emd", enhancers__sharpening=0.0, enhancers__confidence_threshold=0.0, max_epochs=2
        )
        result = cross_validate(
            model, X, y, cv=2, params={"X_unlabeled": Whole(unlabeled[:200])}, return_estimator=True
        )
        for fitted in result["estimator"]:
            assert len(fitted.pseudo_labels_[0]["index"]) == 200


class TestHeadRetraining:
    def test_the_backbone_stays_and_the_head_changes(self, skewed_regression):
        X, y = skewed_regression
        plain = quick(max_epochs=20).fit(X, y)
        retrained = quick(max_epochs=20, enhancers__head_retraining_epochs=50).fit(X, y)
        np.testing.assert_array_equal(retrained.embed(X), plain.embed(X))
        assert not np.array_equal(retrained.predict(X), plain.predict(X))
        assert retrained.score(X, y) > 0.5
        assert retrained.history_[-1]["stage"] == "head retraining"

    @pytest.mark.parametrize("scheme", [None, "inverse"])
    @pytest.mark.parametrize("weighted", [False, True])
    def test_the_new_head_counts_the_same_weights(self, skewed_regression, scheme, weighted):
        """On the columns themselves, a linear head gets to their weighted least squares."""
        X, y = skewed_regression
        given = np.random.default_rng(2).uniform(0.1, 5, size=200) if weighted else np.ones(200)
        model = quick(
            **LINEAR,
            loss="mse",
            reweighting=scheme,
            max_epochs=1,
            enhancers__head_retraining_epochs=250,
        ).fit(X, y, sample_weight=given if weighted else None)
        by_label = np.ones(200) if scheme is None else label_density_weights(y, scheme=scheme)
        expected = least_squares(X, y, given * by_label)
        np.testing.assert_allclose(model.predict(X), expected, atol=0.02 * y.std())
