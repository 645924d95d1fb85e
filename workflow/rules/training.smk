# Training, a run a job. The scripts take several runs, which `stacks` makes use of; here each is a list of one.


rule train_stem:
    input:
        unpack(lambda wc: study.stem(**wc).inputs),
        stem=lambda wc: study.stem(**wc).stem_states,
    output:
        state=[temp(f"{STEM}/state.safetensors")],
        snapshots=[temp(directory(f"{STEM}/snapshots"))],
    log:
        f"{STEM}/train_stem.log",
    wildcard_constraints:
        experiment=study.unstacked_wildcard,
    # One that goes on before a new one: the states and snapshots of a (loss, seed) come and go before the next begins.
    priority: lambda wc: 1 if study.stem(**wc).parent else 0
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: study.stem(**wc).minutes(attempt),
    params:
        key=lambda wc: [study.stem(**wc).key],
        names=[],
        settings=lambda wc: [study.stem(**wc).settings],
        snapshot_epochs=lambda wc: study.stem(**wc).snapshot_epochs,
        scratch=lambda wc: study.stem(**wc).scratch,
        compute=lambda wc, threads: study.job_compute(threads),
    script:
        "../scripts/train_stem.py"


rule train:
    input:
        unpack(lambda wc: study.run(**wc).inputs),
        stem=lambda wc: study.run(**wc).stem_states,
    output:
        history=[f"{RUN}/history.csv"],
        best=[f"{RUN}/best.safetensors"],
        final=[f"{RUN}/final.safetensors"],
        run=[f"{RUN}/run.json"],
        snapshots=[temp(directory(f"{RUN}/snapshots"))],
    log:
        f"{RUN}/train.log",
    wildcard_constraints:
        experiment=study.trained_wildcard,
    # Before stems, because what frees a state or snapshots goes first.
    priority: 2
    conda:
        "../../envs/environment.yaml"
    threads: study.compute["threads"]
    resources:
        gpu=study.gpus,
        mem_mb=lambda wc, attempt: 8000 * attempt,
        runtime=lambda wc, attempt: study.run(**wc).minutes(attempt),
    params:
        key=lambda wc: [study.run(**wc).train_key],
        names=[],
        identities=lambda wc: [study.run(**wc).identity],
        settings=lambda wc: [study.run(**wc).settings],
        snapshot_epochs=lambda wc: study.run(**wc).snapshot_epochs,
        scratch=lambda wc: study.run(**wc).scratch,
        compute=lambda wc, threads: study.job_compute(threads),
    script:
        "../scripts/train.py"
