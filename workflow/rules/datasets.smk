rule prepare_dataset:
    output:
        # Each by a name of its own, which Snakemake's cache between workflows asks for.
        **{
            f"{kind}_{split}": f"results/datasets/{{dataset}}/{kind}_{split}.npy"
            for kind in ["images", "labels"]
            for split in ["train", "val", "test"]
        },
        manifest="results/datasets/{dataset}/manifest.json",
    log:
        "results/logs/prepare_dataset/{dataset}.log",
    cache: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: 60 * attempt,
    params:
        key=lambda wc: study.dataset_key(wc.dataset),
        source=lambda wc: study.dataset_source(wc.dataset),
        split=lambda wc: study.dataset_split(wc.dataset),
    script:
        "../scripts/prepare_dataset.py"
