# The product of a study: the ledger of claims, and the page for readers.

# How Snakemake is called on this study, as the page says it before a target, which --configfile would take for a file.
FILES = [os.path.relpath(path) for path in workflow.configfiles]
COMMAND = " ".join(["snakemake", *(["--configfile", *FILES] if FILES else []), "--cores 2"])


rule claims:
    input:
        unpack(inputs(f"{STUDY}/claims")),
        wanted=wanted(f"{STUDY}/claims"),
    output:
        claims=report(f"{STUDY}/claims.csv", caption="../report/claims.rst", category="Claims"),
        made=made(f"{STUDY}/claims"),
    log:
        f"{STUDY}/claims.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        step=task,
    script:
        "../scripts/claims.py"


rule page:
    input:
        unpack(inputs(f"{STUDY}/report")),
        wanted=wanted(f"{STUDY}/report"),
    output:
        page=f"{STUDY}/report.html",
        made=made(f"{STUDY}/report"),
    log:
        f"{STUDY}/report.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        step=task,
        command=COMMAND,
    script:
        "../scripts/page.py"


# What is there of a study of which runs failed or are missing. Nothing is trained for it.
rule partial:
    input:
        lambda wildcards: [each.file(".csv") for each in partial_steps().tables],
        lambda wildcards: [each.file(".pdf") for each in partial_steps().figures],
        lambda wildcards: f"{STUDY}/report.html".format(study=partial_steps().study.label),
