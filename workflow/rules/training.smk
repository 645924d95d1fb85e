# A run, trained by itself: (loss, width, epochs, seed) of an experiment.


rule train_trunk:
    input:
        unpack(inputs(TRUNK)),
    output:
        state=temp(f"{TRUNK}/state.safetensors"),
        snapshots=temp(f"{TRUNK}/snapshots.safetensors"),
        key=temp(f"{TRUNK}/key.json"),
    log:
        f"{TRUNK}/train_trunk.log",
    # Trunks that go on come first, so that the temporary files of one (loss, seed) are gone before the next one's appear.
    priority: trunk_first
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=memory,
        runtime=minutes,
    params:
        step=task,
        compute=compute,
    script:
        "../scripts/train.py"


rule train:
    input:
        unpack(inputs(RUN)),
    output:
        history=f"{RUN}/history.csv",
        best=f"{RUN}/best.safetensors",
        final=f"{RUN}/final.safetensors",
        snapshots=f"{RUN}/snapshots.safetensors",
        run=f"{RUN}/run.json",
        key=f"{RUN}/key.json",
    log:
        f"{RUN}/train.log",
    wildcard_constraints:
        experiment=TRAINED,
    # Before trunks, because what frees a trunk goes first.
    priority: first("training")
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=memory,
        runtime=minutes,
    params:
        step=task,
        compute=compute,
    script:
        "../scripts/train.py"


rule extract_features:
    input:
        unpack(inputs(f"{RUN}/{FEATURES}")),
    output:
        features=f"{RUN}/{FEATURES}/features.npz",
        key=f"{RUN}/{FEATURES}/key.json",
    log:
        f"{RUN}/{FEATURES}/extract_features.log",
    wildcard_constraints:
        experiment=TRAINED,
    # First of all, because it may free the snapshots.
    priority: first("features")
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=memory,
        runtime=minutes,
    params:
        step=task,
        compute=compute,
        keep_snapshots=keep_snapshots,
    script:
        "../scripts/extract_features.py"
