localrules:
    figure,


rule figure:
    input:
        unpack(lambda wc: study.experiments[wc.experiment].figure_tables(wc.figure)),
    output:
        pdf="results/figures/{experiment}/{figure}.pdf",
        png="results/figures/{experiment}/{figure}.png",
    log:
        "results/logs/figure/{experiment}/{figure}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=lambda wc: study.experiments[wc.experiment].figure_key(wc.figure),
    script:
        "../scripts/figure.py"
