# The theory: one job for all tables, and the figures.


rule theory_tables:
    input:
        wanted=wanted(*(f"{THEORY_TABLES}/{table}" for table in keys.THEORY_TABLES)),
    output:
        [f"{THEORY_TABLES}/{table}.csv" for table in keys.THEORY_TABLES],
        made=made(*(f"{THEORY_TABLES}/{table}" for table in keys.THEORY_TABLES)),
    log:
        f"{THEORY_TABLES}/theory_tables.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        step=task,
    script:
        "../scripts/theory_tables.py"


use rule figure as theory_figure with:
    input:
        unpack(inputs(f"{THEORY_FIGURES}/{{figure}}")),
        wanted=wanted(f"{THEORY_FIGURES}/{{figure}}"),
    output:
        pdf=f"{THEORY_FIGURES}/{{figure}}.pdf",
        png=report(
            f"{THEORY_FIGURES}/{{figure}}.png",
            caption="../report/caption.rst",
            category="Theory",
            labels={"figure": "{figure}"},
        ),
        made=made(f"{THEORY_FIGURES}/{{figure}}"),
    log:
        f"{THEORY_FIGURES}/{{figure}}.log",
    params:
        step=task,
        caption=caption("figures.theory"),


rule theory:
    input:
        [each.file(".pdf") for each in steps.theory_figures],
        steps.theory_table("statements").file(".csv"),
