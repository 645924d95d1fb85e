# A weight decay or learning rate for every (loss, width, epochs), where the configuration lists candidates: they are
# trained like runs, the best is chosen on validation data, and seeds without candidates are trained with the choice.


use rule train_trunk as train_candidate_trunk with:
    input:
        unpack(inputs(CANDIDATE_TRUNK)),
    output:
        state=temp(f"{CANDIDATE_TRUNK}/state.safetensors"),
        snapshots=temp(f"{CANDIDATE_TRUNK}/snapshots.safetensors"),
        key=temp(f"{CANDIDATE_TRUNK}/key.json"),
    log:
        f"{CANDIDATE_TRUNK}/train_trunk.log",


use rule train as train_candidate with:
    input:
        unpack(inputs(CANDIDATE)),
    output:
        history=f"{CANDIDATE}/history.csv",
        best=f"{CANDIDATE}/best.safetensors",
        final=f"{CANDIDATE}/final.safetensors",
        snapshots=f"{CANDIDATE}/snapshots.safetensors",
        run=f"{CANDIDATE}/run.json",
        key=f"{CANDIDATE}/key.json",
    log:
        f"{CANDIDATE}/train.log",
    wildcard_constraints:
        experiment=TUNED,


use rule extract_features as extract_candidate with:
    input:
        unpack(inputs(f"{CANDIDATE}/{FEATURES}")),
    output:
        features=f"{CANDIDATE}/{FEATURES}/features.npz",
        key=f"{CANDIDATE}/{FEATURES}/key.json",
    log:
        f"{CANDIDATE}/{FEATURES}/extract_features.log",
    wildcard_constraints:
        experiment=TUNED,


rule choose_candidate:
    input:
        unpack(inputs(CHOICE)),
    output:
        choice=f"{CHOICE}/choice.json",
        key=f"{CHOICE}/key.json",
    log:
        f"{CHOICE}/choose_candidate.log",
    localrule: True
    conda:
        "../../envs/environment.yaml"
    params:
        step=task,
    script:
        "../scripts/choose_candidate.py"
