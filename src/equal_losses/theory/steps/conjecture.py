from collections.abc import Mapping

from equal_losses.theory import ufm
from equal_losses.theory.closed_form import loss_parameters, objective_tolerance
from equal_losses.theory.contrastive import check_contrastive
from equal_losses.theory.model import described, measure

LOGITS = 1000  # random ones that Definition 1 is tried on
AGREEMENT = 1e-5  # of margins and metrics at a minimum with neural collapse


def conjecture(settings: Mapping) -> list[dict]:
    """Whether a loss ends in neural collapse, lambda_b = 0: one row, what is proved beside what is found.

    Columns: what was tried of Definition 1, and of the bound of one sample (see `check_contrastive`); the lowest of the
    minima from random starts (see `measure`), and how many are as low; and `collapses`: no minimum is below the
    prediction, and the bound proves it, or the lowest minimum is the predicted one.
    """
    model, identity, expected = described(settings)
    tried = check_contrastive(model.loss, model.classes, LOGITS, model.c, settings["seed"])
    seeds = range(settings["seed"], settings["seed"] + settings["starts"])
    minima = [measure(model, ufm.minimise(model, model.random_point(seed)), expected) for seed in seeds]
    lowest = min(minima, key=lambda minimum: minimum["objective"])
    rounding = objective_tolerance(lowest["objective"])
    as_low = sum(minimum["objective"] <= lowest["objective"] + rounding for minimum in minima)
    proved = tried["theorem_1"] in ("any lambda_b", "lambda_b = 0")
    errors = (lowest["margin_error"], lowest["nc1"], lowest["nc2"], lowest["nc3"])
    agrees = not lowest["is_zero_solution"] and max(map(abs, errors)) <= AGREEMENT
    verdict = {name: tried[name] for name in ("verdict", "theorem_1", "counterexample", "counterexample_at_c", "tie_c")}
    parameters = ", ".join(f"{name} = {value}" for name, value in loss_parameters(settings["loss"]).items())
    return [
        identity
        | {"parameters": parameters}
        | verdict
        | lowest
        | {
            "starts": len(minima),
            "lowest_starts": as_low,
            "collapses": lowest["objective"] >= expected.value - rounding and (proved or agrees),
        }
    ]
