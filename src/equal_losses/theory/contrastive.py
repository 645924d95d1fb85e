"""Definition 1, the contrastive property, tried on any loss.

Definition 1 requires a function phi with loss(z, y_k) >= phi(t), t = sum_{j != k} (z_j - z_k), where equality holds
only if all logits but the true one are equal (Eq. 9), and a unique t* = argmin phi(t) + c |t|, not positive, for
every c > 0 (Eq. 10).

phi is derived from the loss (see `reduced`). MSE does not ignore a common shift of the logits: with this phi it
satisfies the letter of Definition 1, but has equality at one shift only. The proof of Theorem 1 takes equality wherever
the other logits are equal, b = 0 included. So for such a loss the theorem's conclusion is safe only with lambda_b = 0,
where the bias can supply the shift; the paper leaves MSE out.

Definition 1 asks for more than Theorem 1 needs at one c, and with a penalised bias for less; `pointwise` decides that.

Everything here is a finite number of trials in float64: they can refute, and otherwise they say what was tried.
"""

import numpy as np

from equal_losses.theory.convexity import is_convex
from equal_losses.theory.pointwise import bound
from equal_losses.theory.reduced import LOGIT_SCALES, ROUNDING, SMALLEST_SLOPE, Loss, ReducedLoss, each

HOLDS, HOLDS_AT_C, FAILS = "Definition 1 holds", "holds where it matters at this c", "fails"


def check_contrastive(loss: Loss, classes: int, samples: int, c: float, seed: int = 0) -> dict[str, object]:
    """What was tried of Definition 1 on a loss, and of the bound that decides Theorem 1 at one c; what came of it.

    Args:
        loss: callable of N x K logits and N labels, the mean over the batch.
        classes: K, at least 2.
        samples: random logits for the inequality, normal with scales from 0.1 to 30, and for its equality cases.
        c: sqrt(n lambda_W lambda_H), positive.
        seed: of the random logits.

    Returns:
        A mapping of

        - `classes` and `samples`;
        - `violations`: the number of those of Eq. (9), beyond rounding;
        - `smallest_gap`: the least loss - phi(t) found, in units of the loss; rounding leaves it slightly below zero;
        - `unequal_ties`: the number of random logits, the other ones unequal, at which the loss equals phi(t);
        - `equality_error`: the largest |loss - phi(t)| where all other logits are equal, over random shifts and labels;
        - `class_error`: the same at the best shift: beyond rounding, no phi has equality for all classes;
        - `no_minimiser_below`: the c up to which no minimiser was found, because phi falls too fast; 0 if none;
        - `positive_t_at`: a c with t* > 0, or None;
        - `holds`: whether nothing tried contradicts Definition 1;
        - `counterexample`: one that refutes the definition, in words, or None;
        - `ties`, `tie_c`, `tie_margin`: the number of c at which t* is not unique; the first, and its larger margin;
        - `is_convex`: whether nothing tried contradicts that the loss is convex in the logits;
        - `c`, and `margin`, the s* that neural collapse has there;
        - `theorem_1`: with which bias the conclusion of Theorem 1 holds at c (see `pointwise`): "any lambda_b",
          "lambda_b = 0", "no bias" or "nowhere";
        - `counterexample_at_c`: what is against the two former, in words, or None;
        - `verdict`: `HOLDS` (the definition), `HOLDS_AT_C` or `FAILS`.

    Raises:
        InputError: for a c that is not positive or too small for float64.
    """
    reduced = ReducedLoss(loss, classes)
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=samples)
    scales = np.resize(LOGIT_SCALES, samples)[:, None]
    normal = generator.standard_normal((samples, classes))

    logits = scales * normal
    losses, gaps = _gaps(reduced, logits, labels)
    violated = gaps < -ROUNDING * (1 + np.abs(losses))

    # At scale 1 no loss saturates, so that a gap is not lost in rounding.
    losses, gaps_at_one = _gaps(reduced, normal, labels)
    others = normal[np.arange(classes) != labels[:, None]].reshape(samples, -1)
    tied = (others.std(axis=1) > 0.1) & (gaps_at_one <= 1e-6 * np.abs(losses - gaps_at_one))

    margins = generator.uniform(-5, 10, size=samples)
    equal = np.repeat(5 * generator.standard_normal((samples, 1)), classes, axis=1)
    equal[np.arange(samples), labels] += margins
    psi = reduced(margins)[0]
    equality_errors = np.abs(each(loss, equal, labels) - psi)
    class_errors = np.abs(reduced(margins, labels)[0] - psi)
    rounding = ROUNDING * (1 + np.abs(psi))

    c_without = reduced.largest_slope_without_minimiser / (classes - 1)
    positive = reduced.positive_t(np.geomspace(SMALLEST_SLOPE, 10.0, 60))
    counterexample = None
    if violated.any():
        worst = int(np.argmin(gaps))
        counterexample = f"loss < phi(t) by {-gaps[worst]:.3g} at label {labels[worst]}, logits {_words(logits[worst])}"
    elif tied.any():
        first = int(np.argmax(tied))
        counterexample = f"loss = phi(t) at label {labels[first]}, unequal logits {_words(normal[first])}"
    elif (class_errors > rounding).any():
        worst = int(np.argmax(class_errors))
        counterexample = (
            f"at margin {margins[worst]:.4g}, other logits equal, label {labels[worst]} has another loss than label 0: "
            f"no phi has equality for both"
        )
    elif c_without:
        counterexample = f"phi(t) + c |t| has no minimiser for c = {c_without:.6g}, as far as the margin was followed"
    elif positive is not None:
        counterexample = f"t* > 0 for c = {positive / (classes - 1):.6g}"
    elif reduced.ties:
        tie = reduced.ties[0]
        both = " and ".join(f"{0.0 - (classes - 1) * margin:.6g}" for margin in tie.margins)
        counterexample = f"t* is not unique for c = {tie.c:.6g}: t = {both} tie"
    holds, at_c = counterexample is None, bound(reduced, c, seed)
    theorem_1 = "nowhere"
    if (class_errors <= rounding).all():
        ignores_shift = (equality_errors <= rounding).all()
        if at_c.with_bias:
            theorem_1 = "any lambda_b" if ignores_shift else "lambda_b = 0"
        elif at_c.without_bias and ignores_shift:
            theorem_1 = "no bias"
    return {
        "classes": classes,
        "samples": samples,
        "violations": int(violated.sum()),
        "smallest_gap": float(gaps.min()),
        "unequal_ties": int(tied.sum()),
        "equality_error": float(equality_errors.max()),
        "class_error": float(class_errors.max()),
        "no_minimiser_below": c_without,
        "positive_t_at": None if positive is None else positive / (classes - 1),
        "holds": holds,
        "counterexample": counterexample,
        "ties": len(reduced.ties),
        "tie_c": reduced.ties[0].c if reduced.ties else None,
        "tie_margin": reduced.ties[0].margins[1] if reduced.ties else None,
        "is_convex": is_convex(loss, classes, samples, seed),
        "c": c,
        "margin": at_c.margin,
        "theorem_1": theorem_1,
        "counterexample_at_c": at_c.counterexample,
        "verdict": HOLDS if holds else FAILS if theorem_1 == "nowhere" else HOLDS_AT_C,
    }


def _gaps(reduced: ReducedLoss, logits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per sample, the loss and loss - phi(t)."""
    losses = each(reduced.loss, logits, labels)
    true = logits[np.arange(len(logits)), labels]
    margins = true - (logits.sum(axis=1) - true) / (reduced.classes - 1)
    return losses, losses - reduced(margins)[0]


def _words(logits: np.ndarray) -> str:
    return "[" + ", ".join(f"{value:.4g}" for value in logits[:10]) + (", ...]" if len(logits) > 10 else "]")
