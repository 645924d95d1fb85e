# Runs of several losses and seeds trained as one, where an experiment asks for stacks: `training` and `features` once
# more, with every file of a run as often as a stack has members. A stack has its rules, because its members stand in
# the paths of its outputs; width and length are wildcards.


for stack in study.stacks:

    rule:
        name:
            f"train_stem_stack_{stack.name}"
        input:
            manifest=stack.experiment.manifest,
            stem=lambda wc, stack=stack: [path for stem in stack.stems(**wc) for path in stem.stem_states],
        output:
            state=[temp(path) for path in stack.files(STEM, "state.safetensors")],
            snapshots=[temp(directory(path)) for path in stack.files(STEM, "snapshots")],
        log:
            stack.log(STACK_STEM_LOGS, "train_stem.log"),
        priority: lambda wc, stack=stack: 1 if stack.stems(**wc)[0].parent else 0
        conda:
            "../../envs/environment.yaml"
        threads: study.compute["threads"]
        resources:
            gpu=study.gpus,
            mem_mb=lambda wc, attempt: 8000 * attempt,
            runtime=lambda wc, attempt, stack=stack: sum(stem.minutes(attempt) for stem in stack.stems(**wc)),
        params:
            key=lambda wc, stack=stack: [stem.key for stem in stack.stems(**wc)],
            names=lambda wc, stack=stack: [stem.member for stem in stack.stems(**wc)],
            settings=lambda wc, stack=stack: [stem.settings for stem in stack.stems(**wc)],
            snapshot_epochs=lambda wc, stack=stack: stack.stems(**wc)[0].snapshot_epochs,
            scratch=lambda wc, stack=stack: stack.stems(**wc)[0].scratch,
            compute=lambda wc, threads: study.job_compute(threads),
        script:
            "../scripts/train_stem.py"

    rule:
        name:
            f"train_stack_{stack.name}"
        input:
            manifest=stack.experiment.manifest,
            stem=lambda wc, stack=stack: [path for run in stack.runs(**wc) for path in run.stem_states],
        output:
            history=stack.files(RUN, "history.csv"),
            best=stack.files(RUN, "best.safetensors"),
            final=stack.files(RUN, "final.safetensors"),
            run=stack.files(RUN, "run.json"),
            snapshots=[temp(directory(path)) for path in stack.files(RUN, "snapshots")],
        log:
            stack.log(STACK_LOGS, "train.log"),
        priority: 2
        conda:
            "../../envs/environment.yaml"
        threads: study.compute["threads"]
        resources:
            gpu=study.gpus,
            mem_mb=lambda wc, attempt: 8000 * attempt,
            runtime=lambda wc, attempt, stack=stack: sum(run.minutes(attempt) for run in stack.runs(**wc)),
        params:
            key=lambda wc, stack=stack: [run.train_key for run in stack.runs(**wc)],
            names=lambda wc, stack=stack: [run.member for run in stack.runs(**wc)],
            identities=lambda wc, stack=stack: [run.identity for run in stack.runs(**wc)],
            settings=lambda wc, stack=stack: [run.settings for run in stack.runs(**wc)],
            snapshot_epochs=lambda wc, stack=stack: stack.runs(**wc)[0].snapshot_epochs,
            scratch=lambda wc, stack=stack: stack.runs(**wc)[0].scratch,
            compute=lambda wc, threads: study.job_compute(threads),
        script:
            "../scripts/train.py"

    rule:
        name:
            f"extract_stack_{stack.name}"
        input:
            manifest=stack.experiment.manifest,
            snapshots=stack.files(RUN, "snapshots"),
            # Stem by stem, the members' in order.
            stem_snapshots=lambda wc, stack=stack: stack.stem_snapshots(**wc),
            final=stack.files(RUN, "final.safetensors"),
            best=stack.files(RUN, "best.safetensors"),
        output:
            features=stack.files(RUN, "features.npz"),
        log:
            stack.log(STACK_LOGS, "extract_features.log"),
        priority: 3
        conda:
            "../../envs/environment.yaml"
        threads: study.compute["threads"]
        resources:
            gpu=study.gpus,
            mem_mb=lambda wc, attempt: 8000 * attempt,
            runtime=lambda wc, attempt, stack=stack: sum(run.feature_minutes(attempt) for run in stack.runs(**wc)),
        params:
            key=lambda wc, stack=stack: [run.features_key for run in stack.runs(**wc)],
            settings=lambda wc, stack=stack: [run.settings for run in stack.runs(**wc)],
            snapshot_epochs=lambda wc, stack=stack: stack.runs(**wc)[0].snapshot_epochs,
            augmented=stack.experiment.config["augmented_features"],
            compute=lambda wc, threads: study.job_compute(threads),
        script:
            "../scripts/extract_features.py"
