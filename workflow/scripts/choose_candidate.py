"""Rule choose_candidate: the best candidate on validation data."""

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses.running.files import read_json, write_json
    from equal_losses.statistics import tuning

    records = [read_json(path) for path in task.inputs["records"]]
    write_json(snakemake.output.choice, tuning.choose_candidate(records, task.settings["tuned"]))
