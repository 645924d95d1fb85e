"""Models beside Eq. (7): features, and where a loss has them classifiers or centers, of norm 1 in place of penalties.

Derived here, for K classes of n features each, h_{k,i} and w_k of norm 1, S = sum_k w_k:
sum_k sum_j <w_j - w_k, h_k> >= -sum_k ||S - K w_k|| >= -K^2, with equality at the simplex ETF with h = w alone. A mean
of log(1 + sum_j exp(sigma (...))) is at least its value at the mean exponent (Jensen), so cross entropy of sigma cos
has its minimum there, for any sigma: log(1 + (K-1) exp(-sigma K/(K-1))). In the same way the sum of the inner products
of different classes, at least -K n^2, decides the losses of the features alone.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor

from equal_losses.losses.arcface import arcface
from equal_losses.losses.center import center
from equal_losses.losses.cosface import cosface
from equal_losses.losses.l_softmax import l_softmax
from equal_losses.losses.normface import normface
from equal_losses.losses.sphereface import sphereface
from equal_losses.theory.closed_form import global_minimiser


class Model(NamedTuple):
    """A loss of features H, N x d, and of vectors W beside them, M K x d, both sorted by class; M may be 0.

    Attributes:
        objective: of H and W, both normalised if `on_sphere`.
        value: the predicted minimum.
        classes, samples, dim: K, n, d.
        beside: M, vectors of a class beside the features.
        on_sphere: whether rows are normalised.
        tolerance: of the objective; above rounding where a kink stops the descent.
    """

    objective: Callable[[Tensor, Tensor], Tensor]
    value: float
    classes: int = 4
    samples: int = 5
    dim: int = 7
    beside: int = 0
    on_sphere: bool = True
    tolerance: float = 1e-9

    def minimise(self, seed: int) -> tuple[float, np.ndarray, np.ndarray]:
        """The objective, H and W where L-BFGS ends from a random start."""
        features, rows = self.classes * self.samples, self.classes * (self.samples + self.beside)
        start = np.random.default_rng(seed).standard_normal((rows, self.dim))

        def points(x: Tensor) -> tuple[Tensor, Tensor]:
            vectors = x.reshape(rows, self.dim)
            vectors = F.normalize(vectors, dim=1) if self.on_sphere else vectors
            return vectors[:features], vectors[features:]

        def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
            variables = torch.from_numpy(x).requires_grad_()
            value = self.objective(*points(variables))
            (gradient,) = torch.autograd.grad(value, variables)
            return value.item(), gradient.numpy()

        options = {"ftol": 0.0, "gtol": 1e-11, "maxiter": 3000, "maxfun": 10_000}
        result = minimize(value_and_gradient, start.ravel(), jac=True, method="L-BFGS-B", options=options)
        H, W = points(torch.from_numpy(result.x))
        return result.fun, H.numpy(), W.numpy()


def margin_softmax(kind: str, scale: float, classes: int = 4, samples: int = 5) -> Model:
    """NormFace, CosFace, ArcFace and SphereFace of unit features and classifiers, with their default margins.

    CosFace adds a constant to the exponent. SphereFace is at least NormFace, and equal where h is at its w. ArcFace's
    cos(theta + m) is convex in cos(theta), so at most the chord cos(m) cos(theta); the ETF then stays best for every K
    if m <= pi/3. It has a kink where h is at its w, at which a descent stalls before the w are all apart.
    """
    loss = {"normface": normface, "cosface": cosface, "arcface": arcface, "sphereface": sphereface}[kind]
    labels = _labels(classes, samples)
    exponent = {
        "normface": -classes / (classes - 1),
        "cosface": 0.35 - classes / (classes - 1),
        "arcface": -1 / (classes - 1) - math.cos(0.5),
        "sphereface": -classes / (classes - 1),
    }[kind]
    return Model(
        lambda H, W: loss(scale * H @ W.T, labels, scale),
        math.log1p((classes - 1) * math.exp(scale * exponent)),
        classes=classes,
        samples=samples,
        beside=1,
        tolerance=1e-4 if kind == "arcface" else 1e-9,
    )


def supcon(temperature: float, classes: int = 4, samples: int = 5) -> Model:
    """Supervised contrastive learning with all samples in the batch (Khosla et al. 2020; Graf et al. 2021)."""
    positive = _same_class(classes, samples) & ~torch.eye(classes * samples, dtype=torch.bool)

    def objective(H: Tensor, _: Tensor) -> Tensor:
        similarities = H @ H.T / temperature
        others = similarities.masked_fill(torch.eye(len(H), dtype=torch.bool), -math.inf).logsumexp(dim=1)
        return others.mean() - similarities[positive].mean()

    value = math.log(samples - 1 + samples * (classes - 1) * math.exp(-classes / (classes - 1) / temperature))
    return Model(objective, value, classes=classes, samples=samples)


def n_pair(penalty: float, classes: int = 4) -> Model:
    """N-pair, one pair of a class, mean over the anchors, penalty/2 times the squared norm of all (Sohn 2016).

    It is cross entropy under Eq. (7) with n = 1, c = penalty and the positives as the classifier.
    """
    labels = torch.arange(classes)

    def objective(H: Tensor, W: Tensor) -> Tensor:
        return F.cross_entropy(H @ W.T, labels) + penalty / 2 * (H.square().sum() + W.square().sum())

    value = global_minimiser("cross_entropy", classes, penalty).value
    return Model(objective, value, classes=classes, samples=1, beside=1, on_sphere=False)


def above_cross_entropy(kind: str, **parameters: float) -> Model:
    """Eq. (7) without a bias under L-Softmax or center loss, at the sizes of the reference values, K c = 0.02.

    L-Softmax is at least cross entropy, because psi_m(theta) <= cos(theta), and equal where each feature is along the w
    of its class; center loss is, and equal where the features of a class are one. Both hold at neural collapse: so the
    minimisers and the minimum are those of cross entropy, whatever the margin or the penalty.
    """
    classes, samples, lambda_W, lambda_H = 4, 5, 5e-3, 1e-3
    labels = _labels(classes, samples)

    def objective(H: Tensor, W: Tensor) -> Tensor:
        penalty = lambda_W / 2 * W.square().sum() + lambda_H / 2 * H.square().sum()
        if kind == "center":
            return center(H @ W.T, labels, H, **parameters) + penalty
        return l_softmax(H @ W.T, labels, H, W, **parameters) + penalty

    value = global_minimiser("cross_entropy", classes, math.sqrt(samples * lambda_W * lambda_H)).value
    return Model(objective, value, classes=classes, samples=samples, beside=1, on_sphere=False)


def easy_positive(temperature: float, classes: int = 4, samples: int = 5) -> Model:
    """Easy positive with all negatives: the most similar of the class against the others (Levi et al. 2020).

    Its minimum is collapse all the same: with similarity 1 at best, the sum over the negatives decides.
    """
    same = _same_class(classes, samples)

    def objective(H: Tensor, _: Tensor) -> Tensor:
        similarities = H @ H.T / temperature
        easiest = similarities.masked_fill(~same | torch.eye(len(H), dtype=torch.bool), -math.inf).amax(dim=1)
        return F.softplus(similarities.masked_fill(same, -math.inf).logsumexp(dim=1) - easiest).mean()

    value = math.log1p(samples * (classes - 1) * math.exp(-classes / (classes - 1) / temperature))
    return Model(objective, value, classes=classes, samples=samples)


def mcr2(epsilon: float, classes: int = 4, samples: int = 5, dim: int = 8) -> Model:
    """Minus the coding rate reduction (Yu et al. 2020), for d a multiple of K.

    Its maximum has orthogonal subspaces of dimension r = d/K, one per class, with equal singular values sqrt(n/r):
    (K r/2) log(1 + d/(K r eps^2)) - (r/2) log(1 + d/(r eps^2)).
    """
    scale, rank = dim / epsilon**2, dim // classes

    def objective(H: Tensor, _: Tensor) -> Tensor:
        identity, of_class = torch.eye(dim, dtype=H.dtype), H.reshape(classes, samples, dim)
        whole = torch.logdet(identity + scale / len(H) * H.T @ H)
        parts = torch.logdet(identity + scale / samples * of_class.mT @ of_class)
        return parts.mean() / 2 - whole / 2

    expanded = classes * rank * math.log1p(scale / (classes * rank))
    value = (rank * math.log1p(scale / rank) - expanded) / 2
    return Model(objective, value, classes=classes, samples=samples, dim=dim)


def soft_triple(
    scale: float, gamma: float, centers: int, classes: int = 4, samples: int = 5, margin: float = 0.01
) -> Model:
    """SoftTriple without the regulariser of its centers (Qian et al. 2019): best where those of a class are equal.

    That is derived for gamma to 0 and to infinity; between, it is what the descent finds.
    """
    labels = _labels(classes, samples)

    def objective(H: Tensor, W: Tensor) -> Tensor:
        similarities = (H @ W.T).reshape(len(H), classes, centers)
        relaxed = (torch.softmax(similarities / gamma, dim=2) * similarities).sum(dim=2)
        return F.cross_entropy(scale * (relaxed - margin * F.one_hot(labels, classes).to(H.dtype)), labels)

    value = math.log1p((classes - 1) * math.exp(-scale * (classes / (classes - 1) - margin)))
    return Model(objective, value, classes=classes, samples=samples, beside=centers)


def triplet(margin: float, classes: int = 4, samples: int = 5) -> Model:
    """max(0, m + ||a - p||^2 - ||a - n||^2), mean over all triplets; zero for many features if m < 2K/(K-1)."""
    same = _same_class(classes, samples)
    each = same[:, :, None] & ~same[:, None, :]

    def objective(H: Tensor, _: Tensor) -> Tensor:
        similarities = H @ H.T
        return (margin - 2 * similarities[:, :, None] + 2 * similarities[:, None, :]).clamp(min=0)[each].mean()

    return Model(objective, 0.0, classes=classes, samples=samples)


def spread_out(scale: float, weight: float, classes: int = 4, samples: int = 5, dim: int = 7) -> Model:
    """NormFace with the global orthogonal regularisation of the features of different classes (Zhang et al. 2017).

    Derived here: the classifier is an ETF and h_k = a w_k + sqrt(1 - a^2) v, v orthogonal to it, which leaves one
    number, a: cosines r = 1 - a^2 K/(K-1), log(1 + (K-1) exp(-sigma a K/(K-1))) + weight (r^2 + max(0, r^2 - 1/d)).
    """
    different, plain = ~_same_class(classes, samples), margin_softmax("normface", scale, classes, samples)

    def penalty(mean: Tensor, second_moment: Tensor) -> Tensor:
        return mean**2 + (second_moment - 1 / dim).clip(0)

    def objective(H: Tensor, W: Tensor) -> Tensor:
        cosines = (H @ H.T)[different]
        return plain.objective(H, W) + weight * penalty(cosines.mean(), cosines.square().mean())

    def of_one_number(a: float) -> float:
        cosine = np.float64(1 - a**2 * classes / (classes - 1))
        fit = np.log1p((classes - 1) * math.exp(-scale * a * classes / (classes - 1)))
        return fit + weight * penalty(cosine, cosine**2)

    value = minimize_scalar(of_one_number, bounds=(0, 1), method="bounded", options={"xatol": 1e-12}).fun
    return Model(objective, float(value), classes, samples, dim, beside=1)


def collapse(model: Model, H: np.ndarray) -> dict[str, float | bool]:
    """How far features are from neural collapse.

    - `within`: the mean of ||h - class mean||^2;
    - `cosine_low`, `cosine_high`: the least and the largest cosine of two class means;
    - `collapses`: whether `within` is 0 and both cosines are -1/(K-1), as far as the objective's tolerance tells; it is
      quadratic in the latter.
    """
    of_class = H.reshape(model.classes, model.samples, model.dim)
    means = of_class.mean(axis=1)
    directions = means / np.linalg.norm(means, axis=1, keepdims=True)
    cosines = (directions @ directions.T)[~np.eye(model.classes, dtype=bool)]
    within = float(np.square(of_class - means[:, None]).sum(axis=2).mean())
    equiangular = np.abs(cosines + 1 / (model.classes - 1)).max() <= 10 * math.sqrt(model.tolerance)
    return {
        "within": within,
        "cosine_low": float(cosines.min()),
        "cosine_high": float(cosines.max()),
        "collapses": bool(equiangular) and within <= 10 * model.tolerance,
    }


def _labels(classes: int, samples: int) -> Tensor:
    return torch.arange(classes).repeat_interleave(samples)


def _same_class(classes: int, samples: int) -> Tensor:
    labels = _labels(classes, samples)
    return labels[:, None] == labels
