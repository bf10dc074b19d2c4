"""Say which components of an architecture matter for SAT."""

from __future__ import annotations

import argparse

from sat.cli.outputs import write_figure
from sat.stages.common import add_step, log, progress, start


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_step(parser)
    parser.add_argument("--sat", required=True, help="similarity/sat.csv")
    parser.add_argument("--null", required=True, help="analysis/components_null.csv")
    parser.add_argument("--ranking", required=True, help="analysis/components.csv")
    parser.add_argument("--r2", required=True, help="analysis/components_r2.csv")
    parser.add_argument("--differences", required=True, help="analysis/components_differences.csv")
    parser.add_argument("--by-value", required=True, help="analysis/components_values.csv")
    parser.add_argument("--blocks", required=True, help="analysis/components_blocks.csv")
    parser.add_argument("--figure", required=True, help="figures/components.svg")


def run(arguments: argparse.Namespace) -> None:
    """Regress, rank, compare means."""
    import pandas as pd

    from sat.analyses.components.figure import components_figure
    from sat.analyses.components.importance import (
        block_means,
        full_fit,
        mean_differences,
        pair_data,
        r2_table,
        ranking,
        split_fits,
    )
    from sat.store.tables import read_matrix, read_table, write_tables

    job = start(arguments)
    params = job.step.params
    seed, preset = params["seed"], params["preset"]
    matrix = read_matrix(job.input("sat", arguments.sat))
    table = pd.DataFrame.from_dict(params["components"], orient="index").fillna("")
    null = read_table(job.input("null", arguments.null))
    differences = mean_differences(matrix, table, seed=seed)
    blocks = []
    for component in table:
        means, counts = block_means(matrix, table[component])
        for a, row in means.iterrows():
            for b, mean in row.items():
                if a <= b:
                    blocks.append((component, a, b, counts.loc[a, b], mean))
    ranked = pd.DataFrame(columns=["component", "importance", "p_adjusted", "note"])
    r2 = pd.DataFrame(columns=["kind", "r2", "low", "high", "n", "note"])
    reason = ""
    try:
        data = pair_data(matrix, table, seed=seed)
        explained, importance = full_fit(data, preset, seed)
        splits = pd.concat(
            [split_fits(data, [split], preset, seed) for split in progress(range(params["splits"]), "splits")],
            ignore_index=True,
        )
        ranked = ranking(data, importance, splits, null)
        r2 = r2_table(data, explained, splits, null)
        for name in data.dropped_models:
            log.warning("%s: some component is unknown, so it is not in the regression", name)
    except ValueError as error:
        reason = str(error)
        log.warning("no regression: %s", reason)
    facts = {"preset": preset, "reason": reason}
    write_tables(
        job,
        {
            arguments.ranking: ranked,
            arguments.r2: r2,
            arguments.differences: differences.by_component,
            arguments.by_value: differences.by_value,
            arguments.blocks: pd.DataFrame(blocks, columns=["component", "value_a", "value_b", "n_pairs", "mean"]),
        },
        **facts,
    )
    write_figure(job, arguments.figure, components_figure(ranked, r2, differences.by_component, reason), **facts)
