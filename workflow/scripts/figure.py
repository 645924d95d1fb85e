"""Rules figure and theory_figure: one figure, as PDF and PNG."""

from importlib import import_module

from equal_losses.running.shell import job

with job(snakemake) as task:
    from equal_losses.figures import style
    from equal_losses.statistics import tables

    parts = {name: tables.read(path) for name, (path,) in task.inputs.items()}
    for name in parts.keys() & {"runs", "trajectories"}:
        tables.require_complete(parts[name])
    figures = import_module(f"equal_losses.{task.settings['package']}")
    figure = figures.load(task.settings["figure"])(**parts)
    style.save(figure, snakemake.output.pdf, snakemake.output.png)
