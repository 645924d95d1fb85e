from collections.abc import Iterator, Mapping

import numpy as np

from equal_losses.theory import closed_form


def closed_forms(settings: Mapping) -> list[dict]:
    """The theory's lines: curve, loss, classes, x, y.

    - margin: x = K c, y = optimal margin (lambda_b = 0), for each loss with a closed form;
    - bias_nc2: x = lambda_b, y = uncentered NC2; bias_boundary: x = the lambda_b where it leaves zero;
    - threshold: x = gamma, y = convexity threshold of the focal loss.
    """
    return [dict(zip(("curve", "loss", "classes", "x", "y"), point, strict=True)) for point in _points(settings)]


def _points(settings: Mapping) -> Iterator[tuple[str, str, int, float, float]]:
    for loss in settings["losses"]:
        if loss["kind"] in closed_form.PHI:
            parameters = closed_form.loss_parameters(loss)
            for classes in settings["classes"]:
                for strength in np.geomspace(1e-3, 100, 301):
                    minimiser = closed_form.global_minimiser(loss["kind"], classes, strength / classes, **parameters)
                    yield "margin", loss["name"], classes, strength, minimiser.margin
    for sweep in settings["bias_sweeps"]:
        name, kind = sweep["loss"]["name"], sweep["loss"]["kind"]
        classes, c = sweep["classes"], sweep["strength"] / sweep["classes"]
        parameters = closed_form.loss_parameters(sweep["loss"])
        positive = [value for value in sweep["lambda_b"] if value > 0]
        for lambda_b in np.geomspace(min(positive), max(positive), 301):
            minimiser = closed_form.global_minimiser(kind, classes, c, lambda_b, **parameters)
            yield "bias_nc2", name, classes, lambda_b, minimiser.nc2(classes)
        yield "bias_boundary", name, classes, closed_form.bias_boundary(kind, classes, c, **parameters), 0.0
    for gamma in np.linspace(0, max(settings["gammas"]), 201):
        yield "threshold", "", 0, gamma, closed_form.focal_convexity_threshold(gamma)
