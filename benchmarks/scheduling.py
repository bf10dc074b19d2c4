"""Time that Snakemake itself takes: a dry run of everything, a run with nothing to do, and the start of a job."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median

from harness import TINY, Project, Table, interleave, ratio, say, tiny_project
from landmarks import LANDMARKS, MODELS, write_thousand
from sat.store.artefact import sidecar_path
from sat.study.plan import Artefact, Plan
from sat.study.study import load_study

# Snakemake sleeps for a tenth of a second after every job that it touches: eight minutes for 4,761 tiles.
TOUCHING = (
    "-c",
    "from snakemake.executors.touch import Executor; Executor.SLEEPING_TIME = 0; "
    "from snakemake.cli import main; main()",
)


def run(repeats: int) -> Iterator[Table]:
    project = tiny_project()
    # The benchmark `pairs` leaves tiles of another size behind.
    project.snakemake("tiny")
    rows = [_time(project, "tiny", len(TINY), 8, repeats)]
    for size in (8, 1):
        study = f"imagenet69_{size}"
        project.add_imagenet69(study, tile_size=size)
        _pretend_finished(project, study)
        rows.append(_time(project, study, 69, size, repeats))
    yield Table(
        "scheduling",
        "Seconds of a dry run where nothing is made yet, and of a run where all is made, "
        "each with its ratio to `snakemake --version`, which is start-up alone.",
        ("models", "tile_size", "jobs", "start-up, s", "dry run, s", "to start-up", "no-op, s", "to start-up"),
        rows,
    )
    yield _thousand(project)


def _thousand(project: Project) -> Table:
    """What a thousand models take, once each: seven minutes of an idle processor."""
    rows = [
        _spent(project, 32, 0, finish=True),
        _spent(project, 32, LANDMARKS, finish=False),
        # To touch its twenty thousand jobs would take longer than all the rest.
        _spent(project, 8, 0, finish=False),
    ]
    return Table(
        "scheduling of a thousand models",
        f"A study of {MODELS} models (the rows of imagenet69, repeated). All is processor time in seconds. Start-up is "
        "`snakemake --version`, parse is `--list-rules`, and a job is what each process of a cluster's job does before "
        "its command. Bare is a dry run of nothing but the same jobs and files, all sidecars included. Memory is the "
        "peak of Snakemake's own process.",
        (
            *("tile_size", "landmarks", "jobs", "start-up", "parse", "start of a job"),
            *("dry run", "bare", "to bare", "no-op", "memory of dry run, MB", "of bare, MB", "of no-op, MB"),
        ),
        rows,
    )


def _spent(project: Project, tile_size: int, landmarks: int, *, finish: bool) -> tuple[object, ...]:
    study = f"thousand_{tile_size}_{landmarks}"
    say(f"planning {study}")
    table = project.folder / f"{study}.csv"
    write_thousand(table, landmarks)
    project.add_imagenet69(study, models=str(table), tile_size=tile_size)
    plan = Plan(load_study([project.config(study)]))
    ours = ("--cores", "1", "--configfile", str(project.config(study)))
    job = ("--target-jobs", f"clean:model={plan.needed[0]}", "--allowed-rules", "clean", "--mode", "subprocess")
    startup = project.spend("--version")
    parse = project.spend(*ours, "--list-rules")
    start = project.spend(*ours, *job, "--nolock", "--dry-run")
    dry = project.spend(*ours, "--dry-run", "--quiet", "rules")
    bare = project.spend("--cores", "1", "--snakefile", _bare(project, plan), "--dry-run", "--quiet", "rules")
    jobs, same = (re.search(r"^total\s+(\d+)$", done.printed, re.MULTILINE) for done in (dry, bare))
    if not jobs or not same or jobs[1] != same[1]:
        raise RuntimeError(f"study {study!r}: other jobs than those of the bare workflow:\n{bare.printed[-3000:]}")
    no_op = None
    if finish:
        _pretend_finished(project, study)
        no_op = project.spend(*ours)
        if "Nothing to be done" not in no_op.printed:
            raise RuntimeError(f"study {study!r}: is not finished:\n{no_op.printed[-3000:]}")
    return (
        *(tile_size, landmarks or "none", f"{int(jobs[1]):,}"),
        *(f"{done.seconds:.1f}" for done in (startup, parse, start, dry, bare)),
        f"{dry.seconds / bare.seconds:.2f}",
        f"{no_op.seconds:.1f}" if no_op else "",
        *(f"{done.peak_mb:.0f}" if done else "" for done in (dry, bare, no_op)),
    )


def _bare(project: Project, plan: Plan) -> str:
    """Write a workflow of the study's jobs and files and nothing else, and give its Snakefile's name."""
    root = f"results/bare_{plan.study.name}/"

    def both(artefacts: Iterable[Artefact]) -> list[str]:
        paths = [Path(root, artefact.path) for artefact in artefacts]
        return list(dict.fromkeys(map(str, (*paths, *map(sidecar_path, paths)))))

    inputs: dict[str, list[str]] = {}
    rules: dict[str, list[str]] = {}
    for made in plan.jobs().values():
        needed = made[0].inputs.values()
        inputs[root + made[0].path] = both(one for group in needed for one in _group(group))
        outputs = both(made)
        places = made[0].wildcards
        # One rule serves all jobs of a stage that has wildcards.
        if places and len(set(places.values())) == len(places):
            for name, value in places.items():
                outputs = [re.sub(rf"(?<=/){re.escape(value)}(?=[./])", f"{{{name}}}", path) for path in outputs]
        if not places or len(set(places.values())) == len(places):
            rules.setdefault("_".join(["r", made[0].step.stage, *sorted(places)]), outputs)
    stem = f"bare_{plan.study.name}"
    (project.folder / f"{stem}.json").write_text(json.dumps(inputs))
    text = [
        f"import json\nfrom pathlib import Path\nINPUTS = json.loads(Path('{stem}.json').read_text())\n",
        'wildcard_constraints: model="[^/]+", target="[^/]+", source="[^/]+"\n',
        "rule all:\n    input: sorted({*INPUTS} - {path for paths in INPUTS.values() for path in paths})\n",
    ]
    for name, outputs in rules.items():
        found = f"lambda wildcards: INPUTS[{outputs[0]!r}.format(**wildcards)]"
        text.append(f"rule {name}:\n    input: {found}\n    output: {outputs!r}\n    shell: 'true'\n")
    (project.folder / f"{stem}.smk").write_text("\n".join(text))
    return f"{stem}.smk"


def _group(found: Artefact | Sequence[Artefact]) -> Sequence[Artefact]:
    return [found] if isinstance(found, Artefact) else found


def _time(project: Project, study: str, models: int, tile_size: int, repeats: int) -> tuple[object, ...]:
    printed: dict[str, str] = {}

    def dry_run() -> None:
        # The study gets another name, under which there are no results.
        printed["dry run"] = project.snakemake(study, "--dry-run", "--config", "study=unmade")

    def no_op() -> None:
        printed["no-op"] = project.snakemake(study)

    say(f"timing {study}")
    seconds = interleave({"start-up": lambda: project.run("--version"), "dry run": dry_run, "no-op": no_op}, repeats)
    jobs = re.search(r"^total\s+(\d+)$", printed["dry run"], re.MULTILINE)
    if not jobs or "Nothing to be done" not in printed["no-op"]:
        raise RuntimeError(f"study {study!r}: other runs than those meant:\n{printed['no-op'][-3000:]}")
    measured = [f"{median(seconds['start-up']):.2f}"]
    for name in ("dry run", "no-op"):
        measured += [f"{median(seconds[name]):.2f}", ratio(seconds[name], seconds["start-up"])]
    return models, tile_size, jobs[1], *measured


def _pretend_finished(project: Project, study: str) -> None:
    """Write all files of a study, empty, and Snakemake's metadata of the jobs that would have made them."""
    say(f"pretending that {study} is finished")
    for name in Plan(load_study([project.config(study)])).artefacts():
        path = project.results(study) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        sidecar_path(path).touch()
    project.snakemake(study, "--touch", "--forceall", program=TOUCHING)
