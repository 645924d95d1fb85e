rule extract_features:
    input:
        manifest=lambda wc: study.run(**wc).experiment.manifest,
        snapshots=[f"{RUN}/snapshots"],
        stem_snapshots=lambda wc: study.run(**wc).stem_snapshots,
        final=[f"{RUN}/final.safetensors"],
        best=[f"{RUN}/best.safetensors"],
    output:
        features=[f"{RUN}/features.npz"],
    log:
        f"{RUN}/extract_features.log",
    wildcard_constraints:
        experiment=study.trained_wildcard,
    # First of all, because it frees the snapshots.
    priority: 3
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: study.run(**wc).feature_minutes(attempt),
    params:
        key=lambda wc: [study.run(**wc).features_key],
        settings=lambda wc: [study.run(**wc).settings],
        snapshot_epochs=lambda wc: study.run(**wc).snapshot_epochs,
        augmented=lambda wc: study.run(**wc).experiment.config["augmented_features"],
        compute=lambda wc, threads: study.job_compute(threads),
    script:
        "../scripts/extract_features.py"


rule align_features:
    input:
        manifest=lambda wc: study.experiments[wc.experiment].manifest,
        final=lambda wc: study.experiments[wc.experiment].aligned_files("final.safetensors"),
        # Not read, but without it the snapshots would go unused, and the metrics would later train the runs again.
        features=lambda wc: study.experiments[wc.experiment].aligned_files("features.npz"),
    output:
        alignment="results/tables/{experiment}/alignment.csv",
    log:
        "results/tables/{experiment}/align_features.log",
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: study.experiments[wc.experiment].alignment_minutes(attempt),
    params:
        key=lambda wc: study.experiments[wc.experiment].alignment_key,
        settings=lambda wc: [run.settings for run in study.experiments[wc.experiment].aligned_runs],
        losses=lambda wc: [run.loss for run in study.experiments[wc.experiment].aligned_runs],
        pairs=lambda wc: study.experiments[wc.experiment].alignments,
        compute=lambda wc, threads: study.job_compute(threads),
    script:
        "../scripts/align_features.py"
