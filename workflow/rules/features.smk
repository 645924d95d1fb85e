rule extract_features:
    input:
        manifest=lambda wc: study.run(**wc).experiment.manifest,
        snapshots=lambda wc: study.run(**wc).snapshot_folders,
        final=f"{RUN}/final.safetensors",
        best=f"{RUN}/best.safetensors",
    output:
        features=f"{RUN}/features.npz",
    log:
        f"{RUN}/extract_features.log",
    wildcard_constraints:
        experiment=study.trained_wildcard,
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=4000,
        runtime=120,
    params:
        key=lambda wc: study.run(**wc).features_key,
        settings=lambda wc: study.run(**wc).settings,
        snapshot_epochs=lambda wc: study.run(**wc).snapshot_epochs,
        augmented=lambda wc: study.run(**wc).experiment.config["augmented_features"],
        device=study.compute["device"],
    script:
        "../scripts/extract_features.py"
