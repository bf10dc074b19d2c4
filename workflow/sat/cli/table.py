"""Print a table of the results, as text, Markdown or LaTeX."""

from __future__ import annotations

import argparse

GROUP = "Read its results"
SIMILARITY = ("sat", "affinity", "most_similar", "models", "pairs", "estimated", "landmarks")
"""Tables of the folder similarity/."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    from sat.cli.tools import add_study

    parser.add_argument("name", metavar="NAME", help="a table, such as most_similar or groups")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--latex", action="store_true", help="for the LaTeX package booktabs")
    form.add_argument("--markdown", action="store_true", help="for Markdown")
    parser.add_argument("--columns", nargs="+", metavar="COLUMN", help="only these columns, in this order")
    parser.add_argument("--rows", type=int, metavar="N", help="only the first N rows")
    parser.add_argument("--caption", default="", help="caption for LaTeX; without it, the tabular stands alone")
    parser.epilog = "The file of the table has full precision: results/STUDY/analysis/NAME.csv or similarity/NAME.csv."
    add_study(parser, positional=False)


def run(arguments: argparse.Namespace) -> None:
    """Print the table.

    Raises
    ------
    SatError
        If the study has no such table or column.
    """
    from sat.cli.tools import existing_results, plan_of, say_earlier, study_of, there
    from sat.errors import SatError
    from sat.report.tables import latex, markdown, plain, readable
    from sat.store.tables import read_table
    from sat.study.spelling import did_you_mean

    study = study_of(arguments)
    plan, results = plan_of(study), existing_results(arguments, study)
    known = {name: f"analysis/{name}.csv" for unit in plan.analyses.values() for name in unit.tables}
    made = {artefact.path for artefact in plan.similarity("")}
    known |= {name: path for name in SIMILARITY for path in made if path.startswith(f"similarity/{name}.")}
    if arguments.name not in known:
        those = did_you_mean(arguments.name, sorted(known), f"there are {', '.join(sorted(known))}.", 0.4)
        raise SatError(f"table {arguments.name}: study {study.name} has no such table; {those}")
    table = read_table(there(results / known[arguments.name]))
    if arguments.columns:
        if missing := [name for name in arguments.columns if name not in table]:
            raise SatError(f"--columns {missing[0]}: table {arguments.name} has {', '.join(table.columns)}.")
        table = table[arguments.columns]
    if arguments.rows is not None:
        table = table.head(arguments.rows)
    texts = readable(table)
    print(
        latex(texts, arguments.caption) if arguments.latex else markdown(texts) if arguments.markdown else plain(texts)
    )
    say_earlier([results / known[arguments.name]])
