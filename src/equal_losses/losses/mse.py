from typing import Annotated, Literal

from annotated_types import Gt
from torch import Tensor

from equal_losses.losses._reduction import reduced


def mse(
    logits: Tensor,
    labels: Tensor,
    *,
    kappa: Annotated[float, Gt(0)],
    beta: Annotated[float, Gt(0)],
    class_reduction: Literal["sum", "mean"] = "sum",
    reduction: str = "mean",
) -> Tensor:
    """Rescaled mean square error, Eq. (6): kappa (z_k - beta)^2 + sum over the other classes of z_l^2.

    Args:
        kappa: weight of the true class, above 0; 1 in the paper.
        beta: target of the true logit, above 0; 15 in the paper.
        class_reduction: "sum", the default, or "mean", which divides by the number of classes, as the authors' released
            code does.
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
