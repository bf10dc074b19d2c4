"""The benchmarks: the same code on a tiny net as `make bench` runs on a GPU, and what it writes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import ROOT
from sat.study.expected import Device

BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def bench(monkeypatch, tmp_path):
    """Modules of benchmarks, set to a tiny net and to write into a temporary folder."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import harness
    import run
    import throughput

    tiny = throughput.Case("test_vit", 32, 10, attacked=16, steps=2, seen=32, batch=16)
    monkeypatch.setitem(throughput.CASES, "cpu", [tiny])
    monkeypatch.setitem(throughput.PRECISIONS, "cpu", ("float32", "bfloat16"))
    monkeypatch.setitem(run.DAY, "cpu", {"throughput": 1, "checks": 1})
    monkeypatch.setattr(run, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(run, "device_file", lambda name: tmp_path / f"devices/{name.replace(' ', '-').lower()}.json")
    for name in ("DEVICE", "DEADLINE", "SPEED"):
        monkeypatch.setattr(harness, name, getattr(harness, name))
    return run


def tables(text):
    """Rows of every table in Markdown, by its title."""
    found = {}
    for title, rest in re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", text, re.MULTILINE):
        lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in rest.splitlines() if line[:1] == "|"]
        head, _, *rows = lines
        found[title] = [dict(zip(head, row, strict=True)) for row in rows]
    return found


def test_one_command_measures_all_parts_and_writes_tables_json_and_the_devices_speed(
    bench, monkeypatch, capsys, tmp_path
):
    monkeypatch.setattr(sys, "argv", ["run.py", "--repeats", "1", "--device", "cpu", "--write"])
    bench.main()
    printed = capsys.readouterr().out
    found = tables(printed)
    assert list(found) == ["attack", "evaluate and clean", "checks"]
    assert [(row["model"], row["precision"]) for row in found["attack"]] == [
        ("test_vit", "float32"),
        ("test_vit", "bfloat16"),
    ]
    for row in found["attack"]:
        ratios = [value for name, value in row.items() if "to the " in name or name.startswith("to ")]
        assert len(ratios) == 8
        assert all(float(ratio.split()[0]) > 0 for ratio in ratios), row
    # Four programs that attack in other ways end at the same pixels, where rounding is fine enough to tell signs.
    assert float(found["attack"][0]["equal pixels"]) > 0.99
    assert [row["stage"] for row in found["evaluate and clean"]] == ["clean", "evaluate"] * 2
    assert {row["check"] for row in found["checks"]} == {"halving", "leases", "digits", "tests"}
    assert all(row["result"].startswith("skipped: it needs a GPU") for row in found["checks"])
    # What is written says the same.
    (written,) = (tmp_path / "results").glob("*.json")
    contents = json.loads(written.read_text())
    assert contents["repeats"] == 1 and contents["packages"]["torch"] and contents["device"]
    for table in contents["tables"]:
        assert [{name: str(cell) for name, cell in row.items()} for row in table["rows"]] == found[table["title"]]
    assert tables(written.with_suffix(".md").read_text()) == found
    (speed,) = (tmp_path / "devices").glob("*.json")
    device = Device.read(speed)
    assert device.kind == "cpu" and device.start > 0
    assert [(rate.architecture, rate.precision) for rate in device.rates] == [
        ("test_vit", "float32"),
        ("test_vit", "bfloat16"),
    ]
    assert all(rate.gradient > 0 and rate.forward > 0 for rate in device.rates)


def test_what_there_is_no_time_for_is_named(bench, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["run.py", "--minutes", "0"])
    bench.main()
    printed = capsys.readouterr().out
    assert "Left out, because the time was over: test_vit in float32, test_vit in bfloat16." in printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nothing"], "no benchmark nothing; there are throughput"),
        (["storage", "--write"], "give no NAME"),
        (["--repeats", "0"], "--repeats starts at 1"),
        (["--device", "tpu"], "invalid choice"),
    ],
)
def test_a_wrong_command_line_is_refused(bench, monkeypatch, capsys, words, says):
    monkeypatch.setattr(sys, "argv", ["run.py", *words])
    with pytest.raises(SystemExit):
        bench.main()
    assert says in capsys.readouterr().err


def test_every_call_of_snakemake_is_named_before_it_starts(bench, capfd):
    from harness import Project

    with pytest.raises(RuntimeError, match="failed"):
        Project().snakemake("tiny", "--dry-run", program=("-c", "raise SystemExit(1)"))
    assert capfd.readouterr().err == "  snakemake --cores 1 --configfile tiny.yaml --dry-run ...\n"


def test_a_table_is_printed_before_the_next_one_is_measured(bench, monkeypatch, capsys):
    from harness import Table

    def measured(repeats):
        yield Table("first", "", ("seconds",), [("1",)])
        raise RuntimeError("the second cannot be measured")

    monkeypatch.setitem(sys.modules, "pairs", SimpleNamespace(run=measured))
    monkeypatch.setattr(sys, "argv", ["run.py", "pairs"])
    with pytest.raises(RuntimeError, match="second"):
        bench.main()
    assert tables(capsys.readouterr().out) == {"first": [{"seconds": "1"}]}


def test_make_passes_the_device_on():
    done = subprocess.run(
        ["make", "--dry-run", "bench", "DEVICE=cuda"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.search(r"benchmarks/run\.py --device cuda --write$", done.stdout, re.MULTILINE)


def test_every_benchmark_is_a_module_that_runs(bench):
    for name in bench.BENCHMARKS:
        assert "\ndef run(repeats: int)" in Path(BENCHMARKS / f"{name}.py").read_text(), name
