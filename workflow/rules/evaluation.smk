rule nc_metrics:
    input:
        unpack(inputs(f"{RUN}/{NC_METRICS}")),
    output:
        metrics=report(
            f"{RUN}/{NC_METRICS}.csv",
            caption="../report/nc_metrics.rst",
            category="Runs",
            subcategory="{experiment}",
            labels={axis: f"{{{axis}}}" for axis in ["loss", "width", "epochs", "seed"]},
        ),
        key=f"{RUN}/{NC_METRICS}.json",
    log:
        f"{RUN}/{NC_METRICS}.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        step=task,
    script:
        "../scripts/nc_metrics.py"


use rule nc_metrics as nc_metrics_of_stack with:
    input:
        unpack(inputs(f"{STACK}/{NC_METRICS}")),
    output:
        metrics=f"{STACK}/{NC_METRICS}.csv",
        key=f"{STACK}/{NC_METRICS}.json",
    log:
        f"{STACK}/{NC_METRICS}.log",


rule align_features:
    input:
        unpack(inputs(f"{TABLES}/alignment")),
        wanted=wanted(f"{TABLES}/alignment"),
    output:
        alignment=f"{TABLES}/alignment.csv",
        made=made(f"{TABLES}/alignment"),
    log:
        f"{TABLES}/align_features.log",
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=memory,
        runtime=alignment_minutes,
    params:
        step=task,
        compute=compute,
    script:
        "../scripts/align_features.py"
