rule nc_metrics:
    input:
        features=f"{RUN}/features.npz",
    output:
        metrics=report(
            f"{RUN}/nc_metrics.csv",
            caption="../report/nc_metrics.rst",
            category="Runs",
            subcategory="{experiment}",
            labels={axis: f"{{{axis}}}" for axis in ["loss", "width", "epochs", "seed"]},
        ),
    log:
        f"{RUN}/nc_metrics.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=lambda wc: study.run(**wc).metrics_key,
    script:
        "../scripts/nc_metrics.py"


rule collect:
    input:
        runs=lambda wc: study.experiments[wc.experiment].outputs("run.json"),
        metrics=lambda wc: study.experiments[wc.experiment].outputs("nc_metrics.csv"),
    output:
        runs=report(
            "results/tables/{experiment}/runs.csv",
            caption="../report/runs.rst",
            category="Tables",
            subcategory="{experiment}",
            labels={"table": "runs"},
        ),
        trajectories="results/tables/{experiment}/trajectories.csv",
    log:
        "results/tables/{experiment}/collect.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=lambda wc: study.experiments[wc.experiment].table_key,
    script:
        "../scripts/collect.py"


rule evidence:
    input:
        runs="results/tables/{experiment}/runs.csv",
    output:
        equivalence=report(
            "results/tables/{experiment}/equivalence.csv",
            caption="../report/equivalence.rst",
            category="Tables",
            subcategory="{experiment}",
            labels={"table": "equivalence"},
        ),
        correlation="results/tables/{experiment}/correlation.csv",
    log:
        "results/tables/{experiment}/evidence.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=lambda wc: study.experiments[wc.experiment].evidence_key,
        comparison=study.comparison,
    script:
        "../scripts/evidence.py"
