rule prepare_dataset:
    output:
        expand(f"{DATASET}/{{file}}", file=DATASET_FILES, allow_missing=True),
        key=f"{DATASET}/key.json",
    log:
        f"{DATASET}/prepare_dataset.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=memory,
        runtime=60,
    params:
        step=task,
    script:
        "../scripts/prepare_dataset.py"


rule datasets:
    input:
        [steps.dataset(name).file("manifest.json") for name in study.datasets],
