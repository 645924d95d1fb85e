"""The unconstrained feature model, Eq. (7): its minimisers, its saddle points and its curvature, in float64.

    f(W, H, b) = mean loss of W h_{k,i} + b  +  lambda_W/2 ||W||^2 + lambda_H/2 ||H||^2 + lambda_b/2 ||b||^2

The features are free variables. A loss is any callable of logits (N x K tensor) and labels (N, int64 tensor) that
returns the mean over the batch; autograd goes through the loss alone, at the N x K logits, and everything that has
the feature dimension in it is a matrix product written out here.

Features are the rows of `H`, N x d, as everywhere in this library; the paper's H is the transpose. Sample i of class k
is row k n + i.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from scipy.optimize import minimize
from scipy.sparse.linalg import LinearOperator, eigsh, minres

from .errors import InputError

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

DENSE_SIZE = 600  # variables up to which a dense Hessian costs less than Lanczos


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
        samples: n, samples a class, at least 1.
        dim: d, feature dimension, at least 1. The theorems ask for d > K.
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

    def logit_gradient(self, point: Point) -> np.ndarray:
        """N x K: the gradient of the mean loss with respect to the logits (the transpose of the paper's)."""
        return self._loss_and_gradient(point)[1]

    def value_and_gradient(self, point: Point) -> tuple[float, Point]:
        """f and its gradient.

        With G the gradient of the mean loss with respect to the logits, the chain rule gives
        G^T H + lambda_W W, G W + lambda_H H and G^T 1 + lambda_b b.
        """
        W, H, b = point
        loss, G = self._loss_and_gradient(point)
        value = loss + (self.lambda_W * _square(W) + self.lambda_H * _square(H) + self.lambda_b * _square(b)) / 2
        gradient = Point(G.T @ H + self.lambda_W * W, G @ W + self.lambda_H * H, G.sum(axis=0) + self.lambda_b * b)
        return value, gradient

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
            # Not by `grad_outputs`, whose checks import SymPy: half a second or more of every short job.
            dG = torch.autograd.grad((graph * dZ).sum(), logits, retain_graph=True)[0].numpy()
            return self.flatten(
                Point(
                    dG.T @ H + G.T @ dH + self.lambda_W * dW,
                    dG @ W + G @ dW + self.lambda_H * dH,
                    dG.sum(axis=0) + self.lambda_b * db,
                )
            )

        return LinearOperator((self.size, self.size), matvec=product, rmatvec=product, dtype=np.float64)

    def _loss_and_gradient(self, point: Point) -> tuple[float, np.ndarray]:
        logits = torch.from_numpy(self.logits(point)).requires_grad_()
        loss = self.loss(logits, self._labels)
        (G,) = torch.autograd.grad(loss, logits)
        return loss.item(), G.numpy()


@dataclass(frozen=True)
class Minimum:
    """Where a minimisation ended.

    Attributes:
        point: the end point.
        value: f there.
        gradient_norm: Euclidean norm of the gradient of f there.
        iterations: L-BFGS iterations.
    """

    point: Point
    value: float
    gradient_norm: float
    iterations: int


def minimise(model: UnconstrainedFeatureModel, start: Point, max_iterations: int = 10_000) -> Minimum:
    """Descend from `start` with L-BFGS until f no longer decreases in float64, then polish with Newton steps.

    Two changes of variables make this cheap, and neither presumes the answer:

    - W and H are multiplied by the square roots of their penalties and b by that of c + lambda_b, which balances
      the curvatures along the three.
    - With d > K, the part of each feature orthogonal to the rows of W is set to zero. It has no part in the logits,
      so f can only fall; and from there on the gradients of W and H stay within the span of the rows of W. Hence
      L-BFGS in coordinates of that K-dimensional span takes the very steps that it would take in d dimensions.
    """
    if model.dim <= model.classes:
        return _descend(model, start, max_iterations)
    basis = np.linalg.qr(start.W.T).Q
    minimum = _descend(
        replace(model, dim=model.classes), Point(start.W @ basis, start.H @ basis, start.b), max_iterations
    )
    W, H, b = minimum.point
    return replace(minimum, point=Point(W @ basis.T, H @ basis.T, b))


def _descend(model: UnconstrainedFeatureModel, start: Point, max_iterations: int) -> Minimum:
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
        options={"ftol": 0.0, "gtol": 0.0, "maxiter": max_iterations, "maxfun": 100 * max_iterations},
    )
    x, gradient = _newton_polish(model, scale, result.x, result.jac, value_and_gradient)
    point = model.unflatten(scale * x)
    return Minimum(point, model.value_and_gradient(point)[0], float(np.linalg.norm(gradient / scale)), result.nit)


def _newton_polish(
    model: UnconstrainedFeatureModel,
    scale: np.ndarray,
    x: np.ndarray,
    gradient: np.ndarray,
    value_and_gradient: Callable[[np.ndarray], tuple[float, np.ndarray]],
) -> tuple[np.ndarray, np.ndarray]:
    """Newton steps for as long as each at least halves the gradient.

    Differences of f fall below rounding at about the square root of the machine's precision from a minimum; the
    gradient does not. MINRES, because the Hessian is singular along the rotations of the feature space.
    """
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
    return x, gradient


def gradient_descent(
    model: UnconstrainedFeatureModel, start: Point, step: float, checkpoints: Iterable[int]
) -> Iterator[tuple[int, Point]]:
    """Plain gradient descent in (W, H, b) with one constant step; yields the point after each checkpoint's iterations.

    Args:
        step: learning rate, positive; the same for W, H and b.
        checkpoints: increasing numbers of iterations; 0 is the start.

    Raises:
        InputError: if the iterates are no longer finite, which is what too long a step leads to.
    """
    W, H, b = (part.copy() for part in start)
    done = 0
    for checkpoint in checkpoints:
        for _ in range(checkpoint - done):
            gradient = model.value_and_gradient(Point(W, H, b))[1]
            W -= step * gradient.W
            H -= step * gradient.H
            b -= step * gradient.b
        done = checkpoint
        if not all(np.isfinite(part).all() for part in (W, H, b)):
            raise InputError(f"step is {step}: gradient descent diverged by iteration {done}; allowed: a smaller step")
        yield done, Point(W.copy(), H.copy(), b.copy())


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


def certificate(model: UnconstrainedFeatureModel, point: Point) -> float:
    """||G||_2 / sqrt(lambda_W lambda_H), with G the gradient of the mean loss with respect to the logits.

    For a critical point of a convex loss, at most 1 says that it is a global minimiser (Theorem 2's proof: Z = W H
    then minimises the convex problem with the nuclear norm of Z in place of the penalties of W and H, of which G is
    a subgradient). Above 1, for any smooth loss, `escape_direction` leads down.
    """
    spectral_norm = np.linalg.norm(model.logit_gradient(point), 2)
    return float(spectral_norm / math.sqrt(model.lambda_W * model.lambda_H))


def escape_direction(model: UnconstrainedFeatureModel, point: Point) -> tuple[Point, float]:
    """A direction and the curvature of f along it at a critical point: -2 (||G||_2 - sqrt(lambda_W lambda_H)).

    Derived here: let a be a unit vector orthogonal to the rows of W, and u, v the top singular vectors of G on the
    side of the classes and of the samples. At a critical point the features lie in the span of the rows of W, so
    along dW = r u a^T, dH = -v a^T / r the logits change by -u v^T, to second order only: f changes by
    -<G, u v^T> + lambda_W r^2 / 2 + lambda_H / (2 r^2) times the square of the step. The best r is
    (lambda_H / lambda_W)^(1/4), and convexity of the loss is not needed.

    Raises:
        InputError: if the rows of W span all d dimensions, so that there is no such a.
    """
    left, singular_values, _ = np.linalg.svd(point.W.T)
    rank = int(np.sum(singular_values > 1e-9 * max(singular_values[0], np.finfo(float).tiny)))
    if rank == model.dim:
        raise InputError(f"point: W has rank {rank} = dim; allowed: a rank below the feature dimension")
    a = left[:, -1]
    V, spectrum, U = np.linalg.svd(model.logit_gradient(point), full_matrices=False)
    r = (model.lambda_H / model.lambda_W) ** 0.25
    direction = Point(r * np.outer(U[0], a), -np.outer(V[:, 0], a) / r, np.zeros(model.classes))
    return direction, float(-2 * (spectrum[0] - math.sqrt(model.lambda_W * model.lambda_H)))


def curvature(model: UnconstrainedFeatureModel, point: Point, direction: Point) -> float:
    """The second derivative of f along a direction of whatever length."""
    vector = model.flatten(direction)
    return float(vector @ model.hessian(point).matvec(vector))


def smallest_hessian_eigenvalue(model: UnconstrainedFeatureModel, point: Point) -> float:
    """The smallest eigenvalue of the Hessian of f: dense for small models, by Lanczos iterations beyond.

    Lanczos runs on (top - Hessian), because its stopping rule is relative to the eigenvalue sought and the one of
    interest is often zero.
    """
    hessian = model.hessian(point)
    if model.size <= DENSE_SIZE:
        return float(np.linalg.eigvalsh(_dense(hessian))[0])
    start = np.random.default_rng(0).standard_normal(model.size)  # ARPACK's own start is not reproducible
    top = 1.1 * eigsh(hessian, k=1, which="LA", tol=1e-2, v0=start, return_eigenvectors=False)[0]
    shifted = LinearOperator(hessian.shape, matvec=lambda v: top * np.ravel(v) - hessian.matvec(v), dtype=np.float64)
    return float(top - eigsh(shifted, k=1, which="LA", tol=1e-10, v0=start, return_eigenvectors=False)[0])


def hessian_nullity(model: UnconstrainedFeatureModel, point: Point) -> int:
    """How many Hessian eigenvalues are zero, that is below 1e-9 of the largest; dense, for small models.

    Raises:
        InputError: for a model too large for a dense Hessian.
    """
    if model.size > DENSE_SIZE:
        raise InputError(f"the model has {model.size} variables; allowed for a dense Hessian: at most {DENSE_SIZE}")
    eigenvalues = np.abs(np.linalg.eigvalsh(_dense(model.hessian(point))))
    return int(np.sum(eigenvalues < 1e-9 * eigenvalues.max()))


def critical_point_of_rank(model: UnconstrainedFeatureModel, rank: int, seed: int) -> Minimum:
    """A critical point of f whose W and H have at most the given rank: a saddle point wherever that is too small.

    Derived here: a minimiser of the model with `rank` feature dimensions, padded with zeros to d, is critical in d
    dimensions, because the gradient of each matrix along a feature dimension is linear in the other matrix's entries
    along it. At rank 0 that is the origin, with the best bias.
    """
    if not 0 <= rank <= model.dim:
        raise InputError(f"rank is {rank}; allowed: 0 to {model.dim}, the feature dimension")
    small = replace(model, dim=max(rank, 1))
    # A start of zeros stays where it is but for the bias.
    minimum = minimise(small, small.random_point(seed, scale=1.0 if rank else 0.0))
    W, H, b = minimum.point
    padding = ((0, 0), (0, model.dim - small.dim))
    return replace(minimum, point=Point(np.pad(W, padding), np.pad(H, padding), b))


def _dense(hessian: LinearOperator) -> np.ndarray:
    dense = hessian.matmat(np.eye(hessian.shape[0]))
    return (dense + dense.T) / 2


def _square(array: np.ndarray) -> float:
    return float(np.vdot(array, array))
