rule figure:
    input:
        unpack(inputs(f"{FIGURES}/{{figure}}")),
        wanted=wanted(f"{FIGURES}/{{figure}}"),
    output:
        pdf=f"{FIGURES}/{{figure}}.pdf",
        png=report(
            f"{FIGURES}/{{figure}}.png",
            caption="../report/caption.rst",
            category="Figures",
            subcategory="{experiment}",
            labels={"figure": "{figure}"},
        ),
        made=made(f"{FIGURES}/{{figure}}"),
    log:
        f"{FIGURES}/{{figure}}.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        step=task,
        caption=caption("figures.experiment"),
    script:
        "../scripts/figure.py"


rule figures:
    input:
        [each.file(".pdf") for each in steps.figures],
