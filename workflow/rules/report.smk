# The ledger of claims, the page for readers, and Snakemake's own report, which the page carries at its end.


rule claims:
    input:
        unpack(lambda wc: study.claim_tables),
    output:
        claims=report("results/claims.csv", caption="../report/claims.rst", category="Claims"),
    log:
        "results/logs/claims.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=lambda wc: study.claims_key,
        experiments=list(study.experiments),
        thresholds=study.config["evidence"],
    script:
        "../scripts/claims.py"


rule page:
    input:
        unpack(lambda wc: study.page_inputs),
    output:
        page="results/report/page.html",
    log:
        "results/logs/page.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=lambda wc: study.page_key,
        sections=lambda wc: study.page_sections,
        theory=lambda wc: study.theory_captions,
        command=COMMAND,
    script:
        "../scripts/page.py"


rule explorer:
    input:
        study.figures,
        study.theory.figures,
        "results/claims.csv",
    output:
        explorer="results/report/explorer.html",
    log:
        "results/logs/explorer.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=2000,
        runtime=60,
    params:
        key=lambda wc: study.page_key,
        snakefile=SNAKEFILE,
        config=config,
        targets=["all", "theory", "claims"],
    script:
        "../scripts/explorer.py"


use rule page as report with:
    input:
        unpack(lambda wc: study.page_inputs),
        explorer="results/report/explorer.html",
    output:
        page="results/report.html",
    log:
        "results/logs/report.log",
