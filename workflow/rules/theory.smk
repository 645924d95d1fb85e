# The theory: a rule a step, a job a case of it; then the tables of all cases, and a rule a figure.


for step, tables in STEPS.items():

    rule:
        name:
            f"theory_{step}"
        output:
            **{table: f"results/theory/{step}/{{case}}.{table}.csv" for table in tables},
        log:
            f"results/theory/{step}/{{case}}.log",
        wildcard_constraints:
            case=study.theory.case_pattern(step),
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=2000,
            runtime=60,
        params:
            key=lambda wc, step=step: study.theory.key(step, wc.case),
            step=step,
            settings=lambda wc, step=step: study.theory.settings(step, wc.case),
        script:
            "../scripts/theory_case.py"


rule theory_tables:
    input:
        **study.theory.inputs,
    output:
        **{table: f"results/theory/tables/{table}.csv" for table in TABLES if table != "claims"},
        claims=report("results/theory/tables/claims.csv", caption="../report/theory_claims.rst", category="Theory"),
    log:
        "results/theory/tables/theory_tables.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=study.theory.table_key,
        closed_forms=study.theory.closed_form_settings,
    script:
        "../scripts/theory_tables.py"


for figure, tables in FIGURES.items():

    rule:
        name:
            f"theory_figure_{figure}"
        input:
            **{table: f"results/theory/tables/{table}.csv" for table in tables},
        output:
            pdf=f"results/theory/figures/{figure}.pdf",
            png=report(
                f"results/theory/figures/{figure}.png",
                caption=f"../report/theory_{figure}.rst",
                category="Theory",
                labels={"figure": figure},
            ),
        log:
            f"results/theory/figures/{figure}.log",
        localrule: True
        conda:
            "../../envs/environment.yaml"
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            key=study.theory.figure_key(figure),
            figure=figure,
        script:
            "../scripts/theory_figure.py"


rule theory:
    input:
        study.theory.figures,
        "results/theory/tables/claims.csv",
