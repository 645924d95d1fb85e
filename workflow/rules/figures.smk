rule figure:
    input:
        unpack(lambda wc: study.experiments[wc.experiment].figure_tables(wc.figure)),
    output:
        pdf="results/figures/{experiment}/{figure}.pdf",
        png=report(
            "results/figures/{experiment}/{figure}.png",
            caption="../report/figure.rst",
            category="Figures",
            subcategory="{experiment}",
            labels={"figure": "{figure}"},
        ),
    log:
        "results/logs/figure/{experiment}/{figure}.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=lambda wc: study.experiments[wc.experiment].figure_key(wc.figure),
        # It depends on `threads` in name only, which keeps it from drawing the figure again.
        caption=lambda wc, threads: study.caption(wc.figure),
    script:
        "../scripts/figure.py"
