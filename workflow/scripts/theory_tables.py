"""Rule theory_tables: the rows of all cases together, the closed forms, and a row a claim."""

from typing import TYPE_CHECKING

from neural_collapse.jobs import job

if TYPE_CHECKING:
    from snakemake.script import snakemake

with job(snakemake.log[0]):
    from neural_collapse import tables, theory, theory_tables

    results = {table: theory_tables.joined(snakemake.input.get(table)) for table in theory.CASE_TABLES}
    results["closed_forms"] = theory_tables.closed_forms(snakemake.params.closed_forms)
    results["claims"] = theory_tables.claims(results)
    for table, rows in results.items():
        tables.write(snakemake.output.get(table), rows)
