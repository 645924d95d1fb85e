# Runs of one width and budget, of several losses and seeds, trained as one where an experiment asks for it. The files of
# each run are in a folder below the stack's; the stack's record names them all.


rule train_stack_trunk:
    input:
        unpack(inputs(STACK_TRUNK)),
    output:
        state=temp(f"{STACK_TRUNK}/state.safetensors"),
        snapshots=temp(f"{STACK_TRUNK}/snapshots.safetensors"),
        key=temp(f"{STACK_TRUNK}/key.json"),
    log:
        f"{STACK_TRUNK}/train_trunk.log",
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
        "../scripts/train_stack.py"


use rule train_stack_trunk as train_stack with:
    input:
        unpack(inputs(STACK)),
    output:
        snapshots=f"{STACK}/snapshots.safetensors",
        key=f"{STACK}/key.json",
    log:
        f"{STACK}/train.log",
    priority: first("training")


use rule extract_features as extract_stack with:
    input:
        unpack(inputs(f"{STACK}/{FEATURES}")),
    output:
        key=f"{STACK}/{FEATURES}/key.json",
    log:
        f"{STACK}/{FEATURES}/extract_features.log",
