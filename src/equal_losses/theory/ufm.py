"""The unconstrained feature model, Eq. (7), and its minimisers, in float64.

    f(W, H, b) = mean loss of W h_{k,i} + b  +  lambda_W/2 ||W||^2 + lambda_H/2 ||H||^2 + lambda_b/2 ||b||^2

The features are free variables. A loss is any callable of logits (N x K tensor) and labels (N, int64 tensor) that
returns the mean over the batch; autograd goes through the loss alone, at the N x K logits, and everything that has
the feature dimension in it is a matrix product written out here.

Features are the rows of `H`, N x d, as everywhere in this library; the paper's H is the transpose. Sample i of class k
is row k n + i.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, minres

from equal_losses.running.errors import InputError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


class Point(NamedTuple):
    """Variables of the model, or a direction in their space; float64.

    Attributes:
        W: K x d, the classifier; row k is w^k.
        H: N x d, the features; row k n + i is h_{k,i}.
        b: K, the bias.
    """

    W: np.ndarray
    H: np.ndarray
    b: np.ndarray


@dataclass(frozen=True)
class UnconstrainedFeatureModel:
    """Eq. (7) for one loss and one set of sizes and penalties.

    Attributes:
        loss: callable of N x K logits and N labels, the mean over the batch.
        classes: K, at least 2.
        samples: n, samples per class, at least 1.
        dim: d, feature dimension, at least 1. The theorems require d > K.
        lambda_W, lambda_H: penalties of W and H, positive.
        lambda_b: penalty of b, at least 0.

    Raises:
        InputError: for a size or a penalty out of range.
    """

    loss: Loss
    classes: int
    samples: int
    dim: int
    lambda_W: float
    lambda_H: float
    lambda_b: float = 0.0

    def __post_init__(self):
        for name, smallest in (("classes", 2), ("samples", 1), ("dim", 1)):
            if getattr(self, name) < smallest:
                raise InputError(f"{name} is {getattr(self, name)}; allowed: at least {smallest}")
        for name in ("lambda_W", "lambda_H"):
            if not 0 < getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}; allowed: positive numbers")
        if not 0 <= self.lambda_b < math.inf:
            raise InputError(f"lambda_b is {self.lambda_b}; allowed: 0 and positive numbers")

    @property
    def size(self) -> int:
        """The number of variables, K d + N d + K."""
        return (self.classes + self.classes * self.samples) * self.dim + self.classes

    @property
    def c(self) -> float:
        """sqrt(n lambda_W lambda_H), the weight of |t| in Eq. (10)."""
        return math.sqrt(self.samples * self.lambda_W * self.lambda_H)

    @cached_property
    def labels(self) -> np.ndarray:
        """N, int64: the class of each row of H."""
        return np.repeat(np.arange(self.classes), self.samples)

    @cached_property
    def ignores_shift(self) -> bool:
        """Whether the loss stays as it is where all logits are shifted by one number."""
        logits = torch.linspace(-1, 1, self.classes, dtype=torch.float64)[None]
        values = [self.loss(shifted, torch.tensor([0])).item() for shifted in (logits, logits + 1)]
        return math.isclose(*values)

    @cached_property
    def _labels(self) -> torch.Tensor:
        return torch.from_numpy(self.labels)

    def random_point(self, seed: int, scale: float = 1.0) -> Point:
        """A normal random start: rows of W and H of length about `scale`, b of entries about `scale`."""
        generator = np.random.default_rng(seed)
        spread = scale / math.sqrt(self.dim)
        return Point(
            spread * generator.standard_normal((self.classes, self.dim)),
            spread * generator.standard_normal((self.classes * self.samples, self.dim)),
            scale * generator.standard_normal(self.classes),
        )

    def flatten(self, point: Point) -> np.ndarray:
        """One float64 vector of `size` entries: W, H, b, each row by row."""
        return np.concatenate([np.ravel(part) for part in point])

    def unflatten(self, vector: np.ndarray) -> Point:
        """The inverse of `flatten`; the parts are views."""
        end_of_W = self.classes * self.dim
        return Point(
            vector[:end_of_W].reshape(self.classes, self.dim),
            vector[end_of_W : -self.classes].reshape(-1, self.dim),
            vector[-self.classes :],
        )

    def logits(self, point: Point) -> np.ndarray:
        """N x K: H W^T + 1 b^T."""
        return point.H @ point.W.T + point.b

    def loss_and_logit_gradient(self, point: Point) -> tuple[float, np.ndarray]:
        """The mean loss and its gradient with respect to the logits, N x K (the transpose of the paper's)."""
        logits = torch.from_numpy(self.logits(point)).requires_grad_()
        loss = self.loss(logits, self._labels)
        (G,) = torch.autograd.grad(loss, logits)
        return loss.item(), G.numpy()

    def value_and_gradient(self, point: Point) -> tuple[float, Point]:
        """f and its gradient.

        With G the gradient of the mean loss with respect to the logits, the chain rule gives
        G^T H + lambda_W W, G W + lambda_H H and G^T 1 + lambda_b b.
        """
        W, H, b = point
        loss, G = self.loss_and_logit_gradient(point)
        penalty = self.lambda_W * np.vdot(W, W) + self.lambda_H * np.vdot(H, H) + self.lambda_b * np.vdot(b, b)
        gradient = Point(G.T @ H + self.lambda_W * W, G @ W + self.lambda_H * H, G.sum(axis=0) + self.lambda_b * b)
        return float(loss + penalty / 2), gradient

    def gradient_norm(self, point: Point) -> float:
        """Euclidean norm of the gradient of f."""
        return float(np.linalg.norm(self.flatten(self.value_and_gradient(point)[1])))

    def hessian(self, point: Point) -> LinearOperator:
        """The Hessian of f at a point, on flat vectors.

        A product costs as much as two gradients: with dZ = dH W^T + H dW^T + 1 db^T and dG the loss's own
        Hessian applied to dZ (a second backward pass at the logits), it is dG^T H + G^T dH + lambda_W dW,
        dG W + G dW + lambda_H dH, dG^T 1 + lambda_b db.
        """
        W, H, _ = point
        logits = torch.from_numpy(self.logits(point)).requires_grad_()
        (graph,) = torch.autograd.grad(self.loss(logits, self._labels), logits, create_graph=True)
        G = graph.detach().numpy()

        def product(vector: np.ndarray) -> np.ndarray:
            dW, dH, db = self.unflatten(np.ravel(vector))
            dZ = torch.from_numpy(dH @ W.T + H @ dW.T + db)
            # Not with `grad_outputs`, whose checks import SymPy: half a second or more of every short job.
            dG = torch.autograd.grad((graph * dZ).sum(), logits, retain_graph=True)[0].numpy()
            return self.flatten(
                Point(
                    dG.T @ H + G.T @ dH + self.lambda_W * dW,
                    dG @ W + G @ dW + self.lambda_H * dH,
                    dG.sum(axis=0) + self.lambda_b * db,
                )
            )

        return LinearOperator((self.size, self.size), matvec=product, rmatvec=product, dtype=np.float64)


def minimise(model: UnconstrainedFeatureModel, start: Point) -> Point:
    """Descend from `start` with L-BFGS until f no longer decreases in float64, then polish with Newton steps.

    Two changes of variables make this cheap, and neither presumes the result:

    - W and H are multiplied by the square roots of their penalties and b by that of c + lambda_b, which balances
      the curvatures along the three.
    - With d > K, the part of each feature orthogonal to the rows of W is set to zero. It does not enter the logits,
      so f can only fall; from there on the gradients of W and H stay within the span of the rows of W. Hence
      L-BFGS in coordinates of that K-dimensional span takes the very steps that it would take in d dimensions.
    """
    if model.dim <= model.classes:
        return _descend(model, start)
    basis = np.linalg.qr(start.W.T).Q
    W, H, b = _descend(replace(model, dim=model.classes), Point(start.W @ basis, start.H @ basis, start.b))
    return Point(W @ basis.T, H @ basis.T, b)


def _descend(model: UnconstrainedFeatureModel, start: Point) -> Point:
    scale = model.flatten(
        Point(
            np.full(start.W.shape, 1 / math.sqrt(model.lambda_W)),
            np.full(start.H.shape, 1 / math.sqrt(model.lambda_H)),
            np.full(model.classes, 1 / math.sqrt(model.c + model.lambda_b)),
        )
    )

    def value_and_gradient(x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = model.value_and_gradient(model.unflatten(scale * x))
        return value, scale * model.flatten(gradient)

    result = minimize(
        value_and_gradient,
        model.flatten(start) / scale,
        jac=True,
        method="L-BFGS-B",
        # ftol = 0 and gtol = 0 stop where rounding stops the descent; a large budget of evaluations never binds first.
        options={"ftol": 0.0, "gtol": 0.0, "maxiter": 10_000, "maxfun": 1_000_000},
    )
    # Differences of f fall below rounding at about the square root of the machine's precision from a minimum; the
    # gradient does not. So Newton steps follow for as long as each at least halves it, with MINRES, because the Hessian
    # is singular along the rotations of the feature space.
    x, gradient = result.x, result.jac
    for _ in range(10):
        hessian = model.hessian(model.unflatten(scale * x))
        scaled = LinearOperator(
            hessian.shape,
            matvec=lambda v, hessian=hessian: scale * hessian.matvec(scale * np.ravel(v)),
            dtype=np.float64,
        )
        candidate = x + minres(scaled, -gradient, rtol=1e-6, maxiter=200)[0]
        candidate_gradient = value_and_gradient(candidate)[1]
        if not np.linalg.norm(candidate_gradient) < 0.5 * np.linalg.norm(gradient):
            break
        x, gradient = candidate, candidate_gradient
    return model.unflatten(scale * x)


def gradient_descent(
    model: UnconstrainedFeatureModel, start: Point, step: float, checkpoints: Iterable[int]
) -> Iterator[tuple[int, Point]]:
    """Plain gradient descent in (W, H, b) with one constant step; yields the point after each checkpoint's iterations.

    Args:
        step: learning rate, positive; the same for W, H and b.
        checkpoints: increasing numbers of iterations; 0 is the start.

    Raises:
        InputError: where the iterates are no longer finite, as with too long a step.
    """
    point, done = start, 0
    for checkpoint in checkpoints:
        for _ in range(checkpoint - done):
            gradient = model.value_and_gradient(point)[1]
            point = Point(*(part - step * slope for part, slope in zip(point, gradient, strict=True)))
        done = checkpoint
        if not all(np.isfinite(part).all() for part in point):
            raise InputError(f"step is {step}: gradient descent diverged by iteration {done}; expected a smaller step")
        yield done, point


def margins(model: UnconstrainedFeatureModel, point: Point) -> np.ndarray:
    """N x (K - 1), in logit units: z_k - z_j for each sample of class k and each other class j."""
    logits = model.logits(point)
    true = model.labels[:, None] == np.arange(model.classes)
    return logits[true][:, None] - logits[~true].reshape(len(logits), -1)


def theorem_1_deviations(model: UnconstrainedFeatureModel, point: Point) -> dict[str, float]:
    """How far a point is from each statement of Theorem 1; zero at a global minimiser.

    Lengths are relative to the mean length of the rows of W, respectively of H, so the point must not be the origin.

    - `weight_norms`: the largest relative deviation of a ||w^k|| from their mean.
    - `bias`: the largest |b_k - mean of b|, in logit units.
    - `duality`: the largest ||h_{k,i} - sqrt(lambda_W / (lambda_H n)) w^k||.
    - `feature_mean`: the largest ||mean over k of h_{k,i}||.
    - `etf`: ||W W^T - w^2 K/(K-1) (I - 11^T/K)||_F / ||W W^T||_F, with w^2 the mean of ||w^k||^2. (The paper prints
      W^T W, which has the size of the feature dimension.)
    """
    W, H, b = point
    norms = np.linalg.norm(W, axis=1)
    length = np.linalg.norm(H, axis=1).mean()
    dual = math.sqrt(model.lambda_W / (model.lambda_H * model.samples)) * W[model.labels]
    gram = W @ W.T
    etf = np.mean(norms**2) * model.classes / (model.classes - 1) * (np.eye(model.classes) - 1 / model.classes)
    means_over_classes = H.reshape(model.classes, model.samples, -1).mean(axis=0)
    deviations = {
        "weight_norms": np.abs(norms / norms.mean() - 1).max(),
        "bias": np.abs(b - b.mean()).max(),
        "duality": np.linalg.norm(H - dual, axis=1).max() / length,
        "feature_mean": np.linalg.norm(means_over_classes, axis=1).max() / length,
        "etf": np.linalg.norm(gram - etf) / np.linalg.norm(gram),
    }
    return {name: float(value) for name, value in deviations.items()}


def logit_gradient_deviation(model: UnconstrainedFeatureModel, point: Point) -> float:
    """How far the gradients of the samples' losses in their logits are from c, and from -(K-1) c in the true one.

    The largest deviation, relative to c; zero at a minimum that is neural collapse, whatever the loss. Derived here:
    where W H = s (I - 11^T/K) times n copies, s > 0, the subgradient of the penalties of W and H is one matrix, and G
    is minus it.
    """
    _, G = model.loss_and_logit_gradient(point)
    true = model.labels[:, None] == np.arange(model.classes)
    return float(np.abs(len(G) * G / model.c - np.where(true, 1 - model.classes, 1)).max())


def certificate(model: UnconstrainedFeatureModel, point: Point) -> float:
    """||G||_2 / sqrt(lambda_W lambda_H), with G the gradient of the mean loss with respect to the logits.

    For a critical point of a convex loss, at most 1 says that it is a global minimiser (Theorem 2's proof: Z = W H
    then minimises the convex problem with the nuclear norm of Z in place of the penalties of W and H, of which G is
    a subgradient). Above 1, for any smooth loss, `landscape.escape_direction` leads down. For a loss that is not convex
    at most 1 says nothing: its wrong local minima have it, too.
    """
    spectral_norm = np.linalg.norm(model.loss_and_logit_gradient(point)[1], 2)
    return float(spectral_norm / math.sqrt(model.lambda_W * model.lambda_H))
