"""The landscape of Eq. (7): its critical points, where they lead down, and the spectrum of the Hessian, in float64."""

import math
from dataclasses import replace

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from equal_losses.theory.ufm import Point, UnconstrainedFeatureModel, minimise

DENSE_SIZE = 600  # variables up to which a dense Hessian costs less than Lanczos


def escape_direction(model: UnconstrainedFeatureModel, point: Point) -> tuple[Point, float]:
    """A direction and the curvature of f along it at a critical point: -2 (||G||_2 - sqrt(lambda_W lambda_H)).

    Derived here: let a be a unit vector orthogonal to the rows of W, and u, v the top singular vectors of G on the
    side of the classes and of the samples. At a critical point the features lie in the span of the rows of W, so
    along dW = r u a^T, dH = -v a^T / r the logits change by -u v^T, to second order only: f changes by
    -<G, u v^T> + lambda_W r^2 / 2 + lambda_H / (2 r^2) times the square of the step. The best r is
    (lambda_H / lambda_W)^(1/4), and convexity of the loss is not needed. There is such an a because d > K.
    """
    a = np.linalg.svd(point.W.T)[0][:, -1]
    V, spectrum, U = np.linalg.svd(model.loss_and_logit_gradient(point)[1], full_matrices=False)
    r = (model.lambda_H / model.lambda_W) ** 0.25
    direction = Point(r * np.outer(U[0], a), -np.outer(V[:, 0], a) / r, np.zeros(model.classes))
    return direction, float(-2 * (spectrum[0] - math.sqrt(model.lambda_W * model.lambda_H)))


def curvature(model: UnconstrainedFeatureModel, point: Point, direction: Point) -> float:
    """The second derivative of f along a direction of any length."""
    vector = model.flatten(direction)
    return float(vector @ model.hessian(point).matvec(vector))


def smallest_hessian_eigenvalue(model: UnconstrainedFeatureModel, point: Point) -> float:
    """The smallest eigenvalue of the Hessian of f: dense for small models, by Lanczos iterations for larger ones.

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
    """How many Hessian eigenvalues are zero, that is, below 1e-9 of the largest; dense, for small models."""
    eigenvalues = np.abs(np.linalg.eigvalsh(_dense(model.hessian(point))))
    return int(np.sum(eigenvalues < 1e-9 * eigenvalues.max()))


def expected_hessian_nullity(model: UnconstrainedFeatureModel) -> int:
    """The nullity at a minimum that is neural collapse.

    Derived here: the rotations that move a rank K-1 minimum in d dimensions, and the shift of all logits by the bias
    where neither the loss nor a penalty fixes it.
    """
    rotations = model.dim * (model.classes - 1) - model.classes * (model.classes - 1) // 2
    return rotations + int(model.ignores_shift and model.lambda_b == 0)


def critical_point_of_rank(model: UnconstrainedFeatureModel, rank: int, seed: int) -> Point:
    """A critical point of f whose W and H have at most the given rank: a saddle point wherever that is too small.

    Derived here: a minimiser of the model with `rank` feature dimensions, padded with zeros to d, is critical in d
    dimensions, because the gradient of each matrix along a feature dimension is linear in the other matrix's entries
    along it. At rank 0 it is the origin, with the best bias.
    """
    small = replace(model, dim=max(rank, 1))
    # A start of zeros stays where it is but for the bias.
    W, H, b = minimise(small, small.random_point(seed, scale=1.0 if rank else 0.0))
    padding = ((0, 0), (0, model.dim - small.dim))
    return Point(np.pad(W, padding), np.pad(H, padding), b)


def _dense(hessian: LinearOperator) -> np.ndarray:
    dense = hessian.matmat(np.eye(hessian.shape[0]))
    return (dense + dense.T) / 2
