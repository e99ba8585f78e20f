"""Loss terms of images that are mixed with others of their batch."""

import torch
from torch import nn

from ltlearn.enhancers import FeatureMix, mix_images, two_views, view_disagreement
from ltlearn.objectives._mixed import mixed_loss


def image_views(recipe):
    """The :class:`MixedImages` or :class:`TwoViews` of an :class:`~ltlearn.images.Recipe`, or None.

    Parameters
    ----------
    recipe : ltlearn.images.Recipe
    """
    if recipe.consistency_weight:
        return TwoViews(recipe.consistency_weight)
    if recipe.mixup_alpha or recipe.cutmix_alpha:
        return MixedImages(recipe.mixup_alpha, recipe.cutmix_alpha, recipe.clean_weight)
    return None


class MixedImages(nn.Module):
    """The loss of mixed images, and perhaps of the images as they are.

    Parameters
    ----------
    mixup_alpha, cutmix_alpha : float
        See :func:`~ltlearn.enhancers.mix_images`.
    clean_weight : float, default=0
        Weight of the loss of the images as they are beside that of the mixed ones [1]_. Both pass
        through the network as one batch.

    References
    ----------
    .. [1] Pinto et al., "RegMixup: Mixup as a Regularizer Can Surprisingly Improve Accuracy and Out
       Distribution Robustness", NeurIPS 2022, equation 4.
    """

    def __init__(self, mixup_alpha, cutmix_alpha, clean_weight=0.0):
        super().__init__()
        self.mixup_alpha = mixup_alpha
        self.cutmix_alpha = cutmix_alpha
        self.clean_weight = clean_weight

    def terms(self, network, X, target, loss_of, generator):
        """Loss terms of a batch.

        Parameters
        ----------
        network : Network
        X : torch.Tensor of shape (B, ...)
        target : dict of str to torch.Tensor of shape (B, ...)
        loss_of : callable
            From outputs and targets to the mean loss.
        generator : torch.Generator or None
        """
        images = network.prepare(X)
        mixed, _, partners, share = mix_images(
            images,
            torch.arange(len(images), device=images.device),
            mixup_alpha=self.mixup_alpha,
            cutmix_alpha=self.cutmix_alpha,
            generator=generator,
        )
        draw = FeatureMix(share, partners)
        if not self.clean_weight:
            outputs = network.apply_head(network.features_of(mixed))
            return {"loss": mixed_loss(outputs, target, draw, loss_of)}
        both = network.apply_head(network.features_of(torch.cat([images, mixed])))
        clean, outputs = both.tensor_split(2)
        loss = mixed_loss(outputs, target, draw, loss_of)
        return {"loss": loss + self.clean_weight * loss_of(clean, target)}


class TwoViews(nn.Module):
    """The mean loss of two mixed views, and how far their features disagree [1]_.

    The head projects features, see :class:`~ltlearn.networks._heads.ProjectedHead`. The published
    code sums over the views what is a mean here, which a learning rate makes up for.

    Parameters
    ----------
    weight : float
        Of the disagreement.

    References
    ----------
    .. [1] Du et al., "Global and Local Mixture Consistency Cumulative Learning for Long-Tailed
       Visual Recognitions", CVPR 2023, equations 4 and 9.
    """

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def terms(self, network, X, target, loss_of, generator):
        """Loss terms of a batch; parameters are those of :meth:`MixedImages.terms`."""
        views = two_views(network.prepare(X), generator=generator)
        features = network.features_of(torch.cat([view.images for view in views]))
        outputs = network.apply_head(features).tensor_split(2)
        losses = [
            mixed_loss(each, target, FeatureMix(view.share, view.partners), loss_of)
            for each, view in zip(outputs, views, strict=True)
        ]
        projected, predicted = (each.tensor_split(2) for each in network.head.project(features))
        disagreement = 0.5 * (
            view_disagreement(predicted[0], projected[1])
            + view_disagreement(predicted[1], projected[0])
        )
        loss = 0.5 * (losses[0] + losses[1])
        return {"loss": loss + self.weight * disagreement, "disagreement": disagreement}
