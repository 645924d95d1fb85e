rule train_stem:
    input:
        unpack(lambda wc: study.stem(**wc).inputs),
    output:
        state=temp(f"{STEM}/state.safetensors"),
        snapshots=temp(directory(f"{STEM}/snapshots")),
    log:
        f"{STEM}/train_stem.log",
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=4000,
        runtime=720,
    params:
        key=lambda wc: study.stem(**wc).key,
        settings=lambda wc: study.stem(**wc).settings,
        snapshot_epochs=lambda wc: study.stem(**wc).snapshot_epochs,
        scratch=lambda wc: study.stem(**wc).scratch,
        device=study.compute["device"],
    script:
        "../scripts/train_stem.py"


rule train:
    input:
        unpack(lambda wc: study.run(**wc).inputs),
    output:
        history=f"{RUN}/history.csv",
        best=f"{RUN}/best.safetensors",
        final=f"{RUN}/final.safetensors",
        run=f"{RUN}/run.json",
        snapshots=temp(directory(f"{RUN}/snapshots")),
    log:
        f"{RUN}/train.log",
    wildcard_constraints:
        experiment=study.trained_wildcard,
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=4000,
        runtime=1440,
    params:
        key=lambda wc: study.run(**wc).train_key,
        identity=lambda wc: study.run(**wc).identity,
        settings=lambda wc: study.run(**wc).settings,
        snapshot_epochs=lambda wc: study.run(**wc).snapshot_epochs,
        scratch=lambda wc: study.run(**wc).scratch,
        device=study.compute["device"],
    script:
        "../scripts/train.py"
