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


rule table:
    input:
        unpack(inputs(f"{TABLES}/{{table}}")),
        wanted=wanted(f"{TABLES}/{{table}}"),
    output:
        table=report(
            f"{TABLES}/{{table}}.csv",
            caption="../report/caption.rst",
            category="Tables",
            subcategory="{experiment}",
            labels={"table": "{table}"},
        ),
        made=made(f"{TABLES}/{{table}}"),
    log:
        f"{TABLES}/{{table}}.log",
    wildcard_constraints:
        table="|".join(kinds.kinds("statistics")),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        step=task,
        caption=caption("statistics", "table"),
    script:
        "../scripts/table.py"


rule tables:
    input:
        [each.file(".csv") for each in steps.tables],
