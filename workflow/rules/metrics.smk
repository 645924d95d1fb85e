rule nc_metrics:
    input:
        features=f"{RUN}/features.npz",
    output:
        metrics=f"{RUN}/nc_metrics.csv",
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
        runs="results/tables/{experiment}/runs.csv",
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
