"""An exact law of training: what becomes of the sum of the classifier's rows.

Cross entropy, label smoothing and the focal loss do not change when a number is added to all logits of an image, so
their gradients with respect to the logits sum to zero over the classes. With logits W h + b the gradients of the rows
of W then sum to zero whatever the features are, and so do those of the biases; clipping scales them all alike. What
remains is weight decay: s, the sum of the rows, shrinks as learning rate, weight decay and momentum say, whatever the
images, their order and the loss. As s goes, the centred and the uncentred form of NC2 become the same.

The rescaled MSE fixes the logits themselves, and s goes where it wants. Under AdamW, w_k <- (1 - rate decay) w_k - rate
u_k, the gradients of the rows still sum to zero, but each of their entries is divided by a root of its own, and the sum
of the u_k is not zero: s tends to minus that sum over the decay and not to zero. Under Adam with coupled decay no step
has a law either, but where W comes to rest, gradient plus decay w_k is zero for every row, and so s is.
"""

from collections.abc import Mapping

import numpy as np

from equal_losses.schedules import learning_rate


def row_sums(training: Mapping, epochs: int, steps: int) -> np.ndarray:
    """The sum of the rows after 0, 1, ..., `epochs` epochs, as a multiple of that at the start.

    v <- mu v + lambda s, s <- s - eta v at every step, with v = 0 at the start; with Nesterov's momentum
    s <- s - eta (lambda s + mu v).

    Args:
        training: resolved settings: `optimizer`, of kind sgd, `schedule`, `learning_rate` and `weight_decay`.
        steps: batches of an epoch.
    """
    optimizer, decay = training["optimizer"], training["weight_decay"]
    momentum, nesterov = optimizer["momentum"], optimizer["nesterov"]
    s, v, sums = 1.0, 0.0, [1.0]
    for epoch in range(epochs):
        rate = learning_rate(epoch, epochs, training)
        for _ in range(steps):
            v = momentum * v + decay * s
            s -= rate * (decay * s + momentum * v if nesterov else v)
        sums.append(s)
    return np.array(sums)
