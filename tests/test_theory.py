"""The theory study: its cases, one small run of each step, the tables, the claims, the figures and the commands."""

import argparse
import copy
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from matplotlib.figure import Figure
from neural_collapse import closed_form, configuration, losses, theory_cli, theory_figures, theory_runs, theory_tables
from neural_collapse.errors import InputError
from neural_collapse.provenance import Codebase
from neural_collapse.theory import CASE_TABLES, FIGURES, STEPS, TheoryStudy, penalties

ROOT = Path(__file__).parents[1]

CONFIG = yaml.safe_load("""
losses:
  CE: {kind: cross_entropy}
  FL: {kind: focal, gamma: 3}
  MSE: {kind: mse, kappa: 1, beta: 15, class_reduction: sum}
theory:
  losses: null
  minimise:
    sizes: [{classes: 3, samples: 2, dim: 5}, {classes: 4, samples: 1, dim: 5}]
    strengths: [0.1, 40]
    penalty_ratios: [5]
    seeds: [0]
  descent:
    {classes: 3, samples: 2, dim: 4, strength: 0.3, penalty_ratio: 1, seed: 0, start_scale: 0.1, step: 0.1,
     iterations: 4000, checkpoints: 20}
  bias_sweep:
    {sizes: [{classes: 3, samples: 2, dim: 5}], strength: 0.02, penalty_ratio: 5, seed: 0, lambda_b: [0, 0.001, 0.1]}
  landscape:
    - {kinds: null, classes: 3, samples: 2, dim: 5, strength: 0.1, penalty_ratio: 5, ranks: null, starts: 4,
       scales: [0.1, 10], seed: 0}
    - {kinds: [focal], classes: 30, samples: 1, dim: 31, strength: 1.23, penalty_ratio: 1, ranks: [0], starts: 2,
       scales: [0.1], seed: 0}
  contrastive_property: {classes: [10, 18], samples: 100, seed: 0}
  focal_convexity: {gammas: [1, 3], classes: [3], seed: 0}
  geometry:
    {samples: 2, strength: 0.3, penalty_ratio: 1, seed: 0, start_scale: 0.3, step: 0.05, iterations: 2000,
     checkpoints: 10}
""")


@pytest.fixture
def config():
    return copy.deepcopy(CONFIG)


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """All tables of the small study, through files as in the workflow."""
    study = TheoryStudy(CONFIG, Codebase())
    folder = tmp_path_factory.mktemp("theory")
    for step, names in STEPS.items():
        for case, settings in study.cases[step].items():
            results = getattr(theory_runs, step)(settings)
            for name, rows in zip(names, results if isinstance(results, tuple) else [results], strict=True):
                pd.DataFrame(rows).to_csv(folder / f"{case}.{name}.csv", index=False)
    found = {
        table: theory_tables.joined([folder / path.name for path in study.outputs(table)]) for table in CASE_TABLES
    }
    found["closed_forms"] = theory_tables.closed_forms(study.closed_form_settings)
    found["claims"] = theory_tables.claims(found)
    return found


def test_cases_are_named_and_plain(config):
    study = TheoryStudy(config, Codebase())
    assert list(study.cases["minimise"])[:3] == ["CE-K3-n2-d5", "FL-K3-n2-d5", "MSE-K3-n2-d5"]
    assert list(study.cases["bias_sweep"]) == ["MSE-K3-n2-d5"]
    assert "FL-K30-n1-d31-Kc1.23" in study.cases["landscape"]
    assert not any("K30" in case for case in study.cases["landscape"] if case.startswith("CE"))
    assert json.loads(json.dumps(study.cases)) == study.cases
    assert study.case_pattern("descent") == "CE|FL|MSE"


def test_keys_follow_settings(config):
    study = TheoryStudy(config, Codebase())
    keys = {case: study.key("minimise", case) for case in study.cases["minimise"]}
    config["losses"]["FL"]["gamma"] = 2
    changed = TheoryStudy(config, Codebase())
    different = {case for case, key in keys.items() if changed.key("minimise", case) != key}
    assert different == {"FL-K3-n2-d5", "FL-K4-n1-d5"}
    assert changed.table_key != study.table_key
    assert changed.figure_key("mse_bias") != study.figure_key("mse_bias")


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda theory: theory.update(losses=["hinge"]), "theory.losses: 'hinge'"),
        (lambda theory: theory["minimise"]["sizes"][0].update(dim=3), r"theory.minimise.sizes\[0\].dim: 3"),
        (lambda theory: theory["landscape"][1].update(dim=30), r"theory.landscape\[1\].dim: 30"),
        (lambda theory: theory["minimise"]["sizes"].append(theory["minimise"]["sizes"][0]), "stands twice"),
    ],
)
def test_a_wrong_section_is_named(config, change, message):
    change(config["theory"])
    with pytest.raises(InputError, match=message):
        TheoryStudy(config, Codebase())


def test_penalties_have_the_strength_and_the_ratio():
    lambda_W, lambda_H = penalties(classes=4, samples=5, strength=0.02, penalty_ratio=5)
    assert (lambda_W, lambda_H) == pytest.approx((5e-3, 1e-3))


@pytest.mark.parametrize("study", ["demo", "fashion", "paper"])
def test_the_section_of_a_shipped_study_is_the_schema_s_default(study):
    config = configuration.load([ROOT / "config" / f"{study}.yaml"])
    shipped = configuration.validated(config, Codebase())
    del config["theory"]
    defaults = configuration.validated(config, Codebase())
    assert shipped["theory"] == defaults["theory"]
    assert len(TheoryStudy(shipped, Codebase()).cases["landscape"]) == 10


def test_minima_agree_with_theory(tables):
    minima = tables["minima"]
    assert len(minima) == 12
    solutions = minima[~minima["is_zero_solution"]]
    assert set(solutions["loss"]) == {"CE", "FL", "MSE"}
    assert solutions[["margin_error", "nc1", "nc2", "nc3", "duality"]].max().max() < 1e-8
    assert minima[minima["is_zero_solution"]]["size"].max() < 1e-8


def test_claims(tables):
    claims = tables["claims"].set_index(["claim", "loss"])
    assert set(claims.reset_index()["loss"]) == {"CE", "FL", "MSE", ""}
    against = set(claims[~claims["supported"]].index)
    assert against == {
        ("NC2 = 0 for any lambda_b", "MSE"),
        ("loss = phi(t) for equal other logits, whatever their shift", "MSE"),
        ("t* unique for every c", "FL"),
        ("critical points that are not global are strict saddles, K = 30, K c = 1.23", "FL"),
        ("random starts end at the global value, K = 30, K c = 1.23", "FL"),
    }
    assert claims.loc[("Hessian nullity at the minimum", "MSE"), "cases"] == 1
    assert claims.loc[("NC2 under a penalised bias", "MSE"), "largest_error"] < 1e-8


@pytest.mark.parametrize(
    "table, column, value, claim",
    [
        ("minima", "margin_error", 1e-3, "margin as in closed form (relative)"),
        ("minima", "nc2", -1e-3, "NC2 = 0"),
        ("minima", "nc1", math.nan, "NC1 = 0"),
        ("minima", "certificate", 1.1, "certificate at most 1 at the minimum"),
        ("starts", "is_global", False, "random starts end at the global value, K = 3, K c = 0.1"),
        ("critical_points", "nullity", 3.0, "Hessian nullity at the minimum"),
        ("critical_points", "escape_curvature", 1.0, "curvature of the escape direction (relative)"),
        ("definition", "violations", 1, "loss >= phi(t)"),
        ("curves", "y", 3.0, "phi(t) as in closed form (relative)"),
    ],
)
def test_a_claim_that_fails_is_not_supported(tables, table, column, value, claim):
    spoilt = tables[table].copy()
    spoilt[column] = spoilt[column].where(spoilt["loss"] != "CE", value)
    claims = theory_tables.claims({**tables, table: spoilt}).set_index(["claim", "loss"])
    assert tables["claims"].set_index(["claim", "loss"]).loc[(claim, "CE"), "supported"]
    assert not claims.loc[(claim, "CE"), "supported"]


@pytest.mark.parametrize("figure", FIGURES)
def test_figures_are_drawn(tables, figure):
    drawn = getattr(theory_figures, figure)(*(tables[table] for table in FIGURES[figure]))
    assert isinstance(drawn, Figure)
    drawn.canvas.draw()


def test_geometry_ends_at_a_triangle(tables):
    means = tables["geometry"].query("what == 'class_mean' and loss == 'CE'")
    points = means[["x", "y"]].to_numpy()
    lengths = np.linalg.norm(points, axis=1)
    assert np.ptp(lengths) < 2e-2 * lengths.mean()
    assert means["off_plane"].max() < 2e-2 * lengths.mean()
    assert points.sum(axis=0) == pytest.approx([0, 0], abs=2e-2)


def test_a_loss_without_closed_form_is_predicted_from_itself(monkeypatch):
    """A scaled cross entropy has the margin of cross entropy at c / 2."""
    monkeypatch.setattr(
        losses, "doubled", lambda logits, labels: 2 * losses.cross_entropy(logits, labels), raising=False
    )
    loss = {"name": "D", "kind": "doubled"}
    case = {"classes": 4, "samples": 2, "dim": 6, "strength": 0.2, "penalty_ratio": 1, "loss": loss}
    (row,) = theory_runs.minimise({**case, "strengths": [0.2], "penalty_ratios": [1], "seeds": [0]})
    expected = closed_form.global_minimiser("cross_entropy", 4, 0.025).margin
    assert row["margin_closed_form"] == pytest.approx(expected, rel=1e-7)
    assert row["margin"] == pytest.approx(expected, rel=1e-7)


def command(name, *arguments):
    parser = argparse.ArgumentParser()
    getattr(theory_cli, f"add_{name}_arguments")(parser)
    return getattr(theory_cli, f"run_{name}")(parser.parse_args(arguments))


SIZES = ("--classes", "4", "--samples", "5", "--dim", "7", "--lambda-w", "5e-3", "--lambda-h", "1e-3")


@pytest.mark.parametrize("loss, margin", [("CE", 5.283204), ("LS", 3.412247), ("FL", 2.173895), ("MSE", 14.99)])
def test_ufm_command(loss, margin):
    result = command("ufm", "--loss", loss, *SIZES)
    assert list(result) == [
        "objective", "margin", "margin_closed_form", "weight_norm_sq", "weight_norm_sq_closed_form",
        "nc1", "nc2", "nc3", "nc2_centered", "nc3_centered", "gradient_norm", "certificate", "min_hessian_eigenvalue",
    ]  # fmt: skip
    assert result["margin"] == pytest.approx(margin, abs=5e-7)
    assert result["margin_closed_form"] == pytest.approx(margin, abs=5e-7)
    assert result["certificate"] == pytest.approx(1)
    assert abs(result["min_hessian_eigenvalue"]) < 1e-9


def test_ufm_command_takes_parameters_of_the_loss():
    one = command("ufm", "--loss", "FL", "--gamma", "0", *SIZES)
    other = command("ufm", "--loss", "cross_entropy", *SIZES)
    assert one["margin"] == pytest.approx(other["margin"], rel=1e-9)
    biased = command("ufm", "--loss", "MSE", "--lambda-b", "0.01", *SIZES)
    assert biased["nc2"] == pytest.approx(0.4598, abs=1e-4)
    collapsed = command("ufm", "--loss", "CE", *SIZES[:6], "--lambda-w", "1", "--lambda-h", "1")
    assert collapsed["nc2"] is None and collapsed["certificate"] < 1


def test_contrastive_command():
    result = command("contrastive", "--loss", "FL", "--classes", "18", "--samples", "50")
    assert result["holds"] is False
    assert result["tie_c"] == pytest.approx(0.0706779, abs=1e-7)
    json.dumps(result)
    assert command("contrastive", "--loss", "CE", "--samples", "50")["holds"] is True


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--loss", "hinge"), "--loss: 'hinge'"),
        (("--loss", "focal"), "--gamma: missing"),
        (("--loss", "CE", "--gamma", "2"), "--gamma: not a parameter of CE"),
        (("--loss", "CE", "--samples", "0"), "--samples: 0"),
        (("--loss", "CE", "--classes", "1"), "classes is 1"),
    ],
)
def test_commands_name_bad_input(arguments, message):
    with pytest.raises(InputError, match=message):
        command("contrastive", *arguments)
