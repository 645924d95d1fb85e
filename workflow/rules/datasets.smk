rule prepare_dataset:
    output:
        manifest="results/datasets/{dataset}/manifest.json",
        images=expand("results/datasets/{{dataset}}/images_{split}.npy", split=["train", "val", "test"]),
        labels=expand("results/datasets/{{dataset}}/labels_{split}.npy", split=["train", "val", "test"]),
    log:
        "results/logs/prepare_dataset/{dataset}.log",
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=4000,
        runtime=60,
    params:
        key=lambda wc: study.dataset_key(wc.dataset),
        source=lambda wc: study.dataset_source(wc.dataset),
        split=lambda wc: study.dataset_split(wc.dataset),
    script:
        "../scripts/prepare_dataset.py"
