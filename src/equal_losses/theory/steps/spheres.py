from collections.abc import Mapping

from equal_losses.theory import spheres as models

# By the losses' names; `EXCEPTIONS` are the paper's examples of losses that do not collapse.
EXCEPTIONS = {
    "easy positive": models.easy_positive(temperature=0.5),
    "MCR^2": models.mcr2(epsilon=0.5),
    "SoftTriple": models.soft_triple(scale=5, gamma=0.1, centers=2),
    "spread-out": models.spread_out(scale=1, weight=1),
}
MODELS = {
    "NormFace": models.margin_softmax("normface", scale=10),
    "CosFace": models.margin_softmax("cosface", scale=10),
    "ArcFace": models.margin_softmax("arcface", scale=1),
    "SphereFace": models.margin_softmax("sphereface", scale=10),
    "SupCon": models.supcon(temperature=0.5),
    "N-pair": models.n_pair(penalty=0.05),
    "L-Softmax": models.above_cross_entropy("l_softmax", margin=2),
    "center": models.above_cross_entropy("center", penalty=0.1),
    "triplet": models.triplet(margin=1),
    **EXCEPTIONS,
}


def spheres(settings: Mapping) -> list[dict]:
    """Losses of features alone, or on spheres (see `theory.spheres`): one row per loss, the lowest from random starts.

    Columns: the objective, found and predicted, and their difference; how many starts end at the predicted value, to
    `tolerance`; how far the lowest is from neural collapse (see `collapse`); whether the paper names it an exception.
    """
    rows = []
    for name, model in MODELS.items():
        ends = [model.minimise(settings["seed"] + index) for index in range(settings["starts"])]
        value, H, _ = min(ends, key=lambda end: end[0])
        rows.append(
            {
                "loss": name,
                "classes": model.classes,
                "samples": model.samples,
                "dim": model.dim,
                "starts": settings["starts"],
                "at_predicted": sum(abs(end[0] - model.value) <= model.tolerance for end in ends),
                "objective": value,
                "objective_closed_form": model.value,
                "objective_error": value - model.value,
                "tolerance": model.tolerance,
                **models.collapse(model, H),
                "is_exception": name in EXCEPTIONS,
            }
        )
    return rows
