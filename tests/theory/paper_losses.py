"""The paper's losses, and reference values for Eq. (7) under each of them."""

from equal_losses import losses

PARAMETERS = {
    "cross_entropy": {},
    "label_smoothing": {"smoothing": 0.1},
    "focal": {"gamma": 3.0},
    "mse": {"kappa": 1.0, "beta": 15.0},
}
LOSSES = {kind: losses.build({"kind": kind, **parameters}) for kind, parameters in PARAMETERS.items()}

# Margin and ||w||^2 at the minimum for these sizes and penalties.
CLASSES, SAMPLES, LAMBDA_W, LAMBDA_H = 4, 5, 5e-3, 1e-3
REFERENCE = {
    "cross_entropy": (5.283204, 3.96240),
    "label_smoothing": (3.412247, 2.55919),
    "focal": (2.173895, 1.63042),
    "mse": (14.990000, 11.24250),
}
