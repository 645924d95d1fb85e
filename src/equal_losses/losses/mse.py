from __future__ import annotations

from torch import Tensor

from equal_losses.losses._reduction import reduced


def mse(
    logits: Tensor,
    labels: Tensor,
    *,
    kappa: float,
    beta: float,
    class_reduction: str = "sum",
    reduction: str = "mean",
) -> Tensor:
    """Rescaled mean square error, Eq. (6): kappa (z_k - beta)^2 + sum over the other classes of z_l^2.

    `class_reduction="mean"` divides by the number of classes, as the authors' released code does.
    """
    if class_reduction not in ("sum", "mean"):
        raise ValueError(f"class_reduction is {class_reduction!r}; allowed: sum, mean")
    labels = labels.unsqueeze(1)
    others = logits.scatter(1, labels, 0.0).square()
    true = kappa * (logits.gather(1, labels).squeeze(1) - beta).square()
    total = others.sum(dim=1) + true
    if class_reduction == "mean":
        total = total / logits.shape[1]
    return reduced(total, reduction)
