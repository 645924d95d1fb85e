"""Small unconstrained feature models."""

from dataclasses import replace

from equal_losses.theory.ufm import UnconstrainedFeatureModel

from .paper_losses import CLASSES, LAMBDA_H, LAMBDA_W, LOSSES, SAMPLES


def small_model(kind, **changes):
    """The sizes of the reference values, in seven dimensions."""
    model = UnconstrainedFeatureModel(LOSSES[kind], CLASSES, SAMPLES, 7, LAMBDA_W, LAMBDA_H)
    return replace(model, **changes)
