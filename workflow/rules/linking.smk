# Runs of a tuned experiment: hard links to what was trained as chosen.


rule link_run:
    input:
        unpack(inputs(RUN)),
    output:
        history=f"{RUN}/history.csv",
        best=f"{RUN}/best.safetensors",
        final=f"{RUN}/final.safetensors",
        run=f"{RUN}/run.json",
        key=f"{RUN}/key.json",
    log:
        f"{RUN}/link.log",
    wildcard_constraints:
        experiment=TUNED,
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        step=task,
    script:
        "../scripts/link.py"


use rule link_run as link_features with:
    input:
        unpack(inputs(f"{RUN}/{FEATURES}")),
    output:
        features=f"{RUN}/{FEATURES}/features.npz",
        key=f"{RUN}/{FEATURES}/key.json",
    log:
        f"{RUN}/{FEATURES}/link.log",
