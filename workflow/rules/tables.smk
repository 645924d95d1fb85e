rule collect:
    input:
        unpack(inputs(f"{TABLES}/runs")),
        wanted=wanted(f"{TABLES}/runs", f"{TABLES}/trajectories"),
    output:
        runs=report(
            f"{TABLES}/runs.csv",
            caption="../report/runs.rst",
            category="Tables",
            subcategory="{experiment}",
            labels={"table": "runs"},
        ),
        trajectories=f"{TABLES}/trajectories.csv",
        made=made(f"{TABLES}/runs", f"{TABLES}/trajectories"),
    log:
        f"{TABLES}/collect.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        step=task,
    script:
        "../scripts/collect.py"


rule compare:
    input:
        unpack(inputs(f"{TABLES}/equivalence")),
        wanted=wanted(f"{TABLES}/equivalence", f"{TABLES}/correlation"),
    output:
        equivalence=report(
            f"{TABLES}/equivalence.csv",
            caption="../report/equivalence.rst",
            category="Tables",
            subcategory="{experiment}",
            labels={"table": "equivalence"},
        ),
        correlation=f"{TABLES}/correlation.csv",
        made=made(f"{TABLES}/equivalence", f"{TABLES}/correlation"),
    log:
        f"{TABLES}/compare.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        step=task,
    script:
        "../scripts/compare.py"
