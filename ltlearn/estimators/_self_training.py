"""Self-training of ELTA: which unlabeled rows a trained net labels, and with what.

Confident predictions on unlabeled rows, after adaptive sharpening (section 4.3 of Liu et al.,
ICML 2024), join the training rows with the distributions that were predicted.
"""

import torch

from ltlearn.data._targets import concatenate_targets
from ltlearn.data._views import join_rows, take_rows
from ltlearn.enhancers import AdaptiveSharpening, select_sharpening, sharpen

# Published candidates for the exponent of sharpening and the confidence threshold (section 4.3).
_SHARPENING_CANDIDATES = (1.0, 1.1, 1.2, 1.25)
_THRESHOLD_CANDIDATES = (0.70, 0.75, 0.80, 0.85, 0.90)
# The published thresholds suit ten bins; for other numbers of bins candidates that keep these
# shares of the held-out rows stand beside them.
_KEPT_SHARES = (0.25, 0.5, 0.75)


class SelfTrainingMixin:
    """Pseudo-labels for a deep estimator that predicts distributions over score bins."""

    def _check_self_training(self):
        if self.loss_ != "emd":
            raise ValueError(
                "Self-training on X_unlabeled sharpens predicted distributions, so it needs "
                f'loss="emd"; the loss is {self.loss_!r}.'
            )
        if self._is_continued:
            raise ValueError(
                "Self-training trains from the start, which contradicts warm_start=True."
            )

    def _pseudo_label(self, net, X_unlabeled, rows, valid):
        """Pick those of the ``rows`` that are predicted with confidence after sharpening."""
        unit = self._temperature_scale
        centers = torch.from_numpy((self.bin_centers_ - self.score_mean_) / self.score_scale_)

        def predict(X):
            logits = torch.from_numpy(self._outputs(X, net=net)).double()
            return logits, unit * (logits.softmax(1) @ centers)

        logits, scores = predict(take_rows(X_unlabeled, rows))
        options = self._option("enhancers")
        beta, threshold = options.sharpening, options.confidence_threshold
        if "auto" in (beta, threshold):
            beta, threshold = self._choose_sharpening(*predict(valid.X), valid)
        _, keep = AdaptiveSharpening(beta, threshold)(logits, scores)
        kept = keep.nonzero().squeeze(1).numpy()
        distribution = logits.softmax(1).numpy()[kept]
        return {
            "index": rows[kept],
            "score": distribution @ self.bin_centers_,
            "distribution": distribution,
            "sharpening": beta,
            "confidence_threshold": threshold,
        }

    def _choose_sharpening(self, logits, scores, valid):
        options = self._option("enhancers")
        betas, thresholds = _SHARPENING_CANDIDATES, _THRESHOLD_CANDIDATES
        if options.sharpening != "auto":
            betas = (options.sharpening,)
        if options.confidence_threshold != "auto":
            thresholds = (options.confidence_threshold,)
        else:
            confidence = sharpen(logits, scores, scores.mean(), betas[0]).amax(1)
            shares = confidence.new_tensor([1 - share for share in _KEPT_SHARES])
            thresholds = (*thresholds, *confidence.quantile(shares).tolist())
        standardized = (self._scores(valid.y) - self.score_mean_) / self.score_scale_
        true_scores = torch.from_numpy(self._temperature_scale * standardized)
        weight = None if valid.weight is None else torch.from_numpy(valid.weight)
        min_kept = min(len(scores), max(10, len(scores) // 10))
        return select_sharpening(
            logits,
            scores,
            true_scores,
            betas=betas,
            thresholds=thresholds,
            min_kept=min_kept,
            sample_weight=weight,
        )

    def _data_with(self, picked, X_unlabeled, X, labeled):
        """The labeled data of the rows X, and picked unlabeled rows after them."""
        standardized = (picked["score"] - self.score_mean_) / self.score_scale_
        target = {
            "score": torch.from_numpy(standardized).float(),
            "distribution": torch.from_numpy(picked["distribution"]).float(),
        }
        if "weight" in labeled.target:
            target["weight"] = torch.ones(len(standardized), device="cpu")
        rows = join_rows(X, take_rows(X_unlabeled, picked["index"]))
        target = concatenate_targets(labeled.target, target)
        return self._inputs.data(rows, target, training=True)
