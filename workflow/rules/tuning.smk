# A weight decay for every (loss, width, epochs), where the config lists candidates. Candidates are trained like runs,
# the best is chosen on validation data, and the grid takes over the candidates that it would train again.


use rule train_stem as train_candidate_stem with:
    output:
        state=[temp(f"{CANDIDATE_STEM}/state.safetensors")],
        snapshots=[temp(directory(f"{CANDIDATE_STEM}/snapshots"))],
    log:
        f"{CANDIDATE_STEM}/train_stem.log",


use rule train as train_candidate with:
    output:
        history=[f"{CANDIDATE}/history.csv"],
        best=[f"{CANDIDATE}/best.safetensors"],
        final=[f"{CANDIDATE}/final.safetensors"],
        run=[f"{CANDIDATE}/run.json"],
        snapshots=[temp(directory(f"{CANDIDATE}/snapshots"))],
    log:
        f"{CANDIDATE}/train.log",
    wildcard_constraints:
        experiment=study.wildcards["experiment"],


use rule extract_features as extract_candidate_features with:
    input:
        manifest=lambda wc: study.run(**wc).experiment.manifest,
        snapshots=[f"{CANDIDATE}/snapshots"],
        stem_snapshots=lambda wc: study.run(**wc).stem_snapshots,
        final=[f"{CANDIDATE}/final.safetensors"],
        best=[f"{CANDIDATE}/best.safetensors"],
    output:
        features=[f"{CANDIDATE}/features.npz"],
    log:
        f"{CANDIDATE}/extract_features.log",
    wildcard_constraints:
        experiment=study.wildcards["experiment"],


rule choose_weight_decay:
    input:
        records=lambda wc: study.choice(**wc).records,
    output:
        choice=CHOICE,
    log:
        CHOICE.replace(".json", ".log"),
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=lambda wc: study.choice(**wc).key,
    script:
        "../scripts/choose_weight_decay.py"


rule adopt_candidate:
    input:
        unpack(lambda wc: study.run(**wc).adoption_inputs),
    output:
        history=f"{RUN}/history.csv",
        best=f"{RUN}/best.safetensors",
        final=f"{RUN}/final.safetensors",
        run=f"{RUN}/run.json",
        features=f"{RUN}/features.npz",
    log:
        f"{RUN}/adopt_candidate.log",
    wildcard_constraints:
        experiment=study.adopted_wildcard,
    localrule: True
    conda:
        "../../envs/environment.yaml"
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        key=lambda wc: study.run(**wc).features_key,
        candidates=lambda wc: study.run(**wc).experiment.tuning["candidates"],
    script:
        "../scripts/adopt_candidate.py"
