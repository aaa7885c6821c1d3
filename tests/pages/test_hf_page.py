"""Tables of the pages on Hessian-free against runs whose costs are written down here."""

import json
from pathlib import Path

import numpy as np
import pytest

from docs.make.__main__ import main
from docs.make.errors import PageError
from docs.make.hf.batches import batches_table, draw_batches
from docs.make.hf.page import make_regions, pages
from docs.make.hf.results import default_values, result_table
from docs.make.markdown import fill
from rnnbench.records import SolvedAt, Summary, write_summary
from rnnbench.records.metrics_csv import header, rows
from rnnbench.reports.files import write_csv
from rnnbench.reports.finding import find_run_folders
from rnnbench.reports.run_table import run_rows
from rnnbench.reports.runs import read_runs

ROOT = Path(__file__).parents[2]
COLUMNS = ["loss/train", "loss/eval", "error_rate/eval", "cost/sequences", "cost/products", "time/seconds"]


def write(folder, solved_at=None, *, task="adding", length=30, seed=0, git="0123456789", optim=None):
    """A run of at most 100 updates of 10 products, 1000 sequences and half a minute; two more after a solution."""
    folder.mkdir(parents=True)
    last = 100 if solved_at is None else solved_at + 2
    lines = [header(COLUMNS)]
    for update in range(last + 1):
        cells = np.array([[0.1], [0.2], [0.3], [1000.0 * update], [10.0 * update], [30.0 * update]])
        lines += rows(update, cells, np.full((len(COLUMNS), 1), fill_value=True))
    (folder / "metrics.csv").write_bytes(b"".join(lines))
    summary = Summary(
        status="budget" if solved_at is None else "solved",
        solved=solved_at is not None,
        solved_at=None if solved_at is None else SolvedAt(solved_at, 1000 * solved_at, 30 * solved_at),
        error_rate=0.3,
        updates=last,
        sequences=1000 * last,
        products=10 * last,
        seconds=30.0 * last,
        config={
            "task": {"name": task, "sequence_length": length},
            "optim": {"name": "hf", "damping": 0.1, "mu": 0.1, "cg": 20, **(optim or {})},
            "init": {"name": "sparse"},
            "seed": seed,
        },
        device="cpu",
        threads=1,
        git=git,
    )
    write_summary(folder, summary)


def read(folder):
    found = find_run_folders([folder])
    runs = list(read_runs(found.runs, found.problems))
    assert found.problems == []
    return runs


def keep(folder):
    """Keep the runs of a folder as a table of its name beside it."""
    write_csv(folder.with_suffix(".csv"), *run_rows(read(folder), []))


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line[:1] == "|"]


def test_results(tmp_path):
    for seed, at in enumerate([20, 30, 40]):
        write(tmp_path / "hf/T030/adding" / str(seed), at, seed=seed)
    for seed, at in enumerate([20, None, None]):
        write(tmp_path / "hf/T050/xor" / str(seed), at, seed=seed, task="xor", length=50)
    keep(tmp_path / "hf/T030")
    keep(tmp_path / "hf/T050")
    regions, figure = make_regions(tmp_path)
    assert list(regions) == ["results"]
    assert figure is None
    _, _, adding, xor = cells(regions["results"])
    adding_costs = ["30 (20 .. 40)", "300 (200 .. 400)", "30,000 (20,000 .. 40,000)", "15.0 (10.0 .. 20.0)"]
    assert adding == ["30", "`adding`", "3 of 3 (44 .. 100 %)", *adding_costs, "30.0 %"]
    assert xor == ["50", "`xor`", "1 of 3 (6 .. 79 %)", "> 100", "> 1,000", "> 100,000", "> 50.0", "30.0 %"]
    assert regions["results"].endswith("6 runs, revision 0123456, cpu (1 thread).")


def test_what_varies_beside_the_problem_is_told_where_it_is_not_the_default(tmp_path):
    write(tmp_path / "0", 20)
    write(tmp_path / "1", 30, task="xor", optim={"damping": 0.3})
    header_cells, _, adding, xor = cells(result_table(read(tmp_path)))
    assert (header_cells[-1], adding[-1], xor[-1]) == ("keys", "", "`optim.damping=0.3`")


def test_defaults_are_those_of_the_choice():
    assert default_values(("init=orthogonal",))["init.spectral_radius"] == "1"
    assert default_values(("init=sparse",))["init.spectral_radius"] == "1.1"


def test_sizes_of_batches_that_vary_have_a_column(tmp_path):
    for number, (gradient, curvature, searched) in enumerate([(40, 20, 20), (20, 10, 10), (20, 10, 5)]):
        sizes = {"gradient_batch_size": gradient, "curvature_batch_size": curvature}
        others = {"backtracking_batch_size": curvature, "line_search_batch_size": searched}
        write(tmp_path / str(number), 20, length=number, optim=sizes | others)
    runs = read(tmp_path)
    assert [row[2] for row in cells(result_table(runs[:2]))] == ["batches", "---", "40, 20", "20, 10"]
    assert cells(result_table(runs[:2]))[0][8] == "last error rate"
    assert cells(result_table(runs))[-1][-1].endswith("`optim.line_search_batch_size=5`")


def test_a_key_that_older_runs_lack_is_not_told(tmp_path):
    write(tmp_path / "0", 20)
    write(tmp_path / "1", 30, task="xor", optim={"new": 0.3})
    header_cells, *_ = cells(result_table(read(tmp_path)))
    assert "keys" not in header_cells


def test_ablations(tmp_path):
    folder = tmp_path / "hf/ablations"
    for task in ("adding", "xor"):
        for seed in range(4):
            write(folder / f"default/{task}{seed}", 20 + seed, seed=seed, task=task)
            write(folder / f"twice/{task}{seed}", 2 * (20 + seed), seed=seed, task=task, optim={"mu": 0.0})
            write(folder / f"never/{task}{seed}", None, seed=seed, task=task, optim={"damping": 1.0})
            write(folder / f"few/{task}{seed}", 30 if seed == 0 else None, seed=seed, task=task, optim={"cg": 50})
            write(folder / f"half/{task}{seed}", 10, seed=seed, task=task, optim={"cg": 5})
            write(folder / f"both/{task}{seed}", 20, seed=seed, task=task, optim={"damping": 1.0, "mu": 0.0})
    keep(folder)
    regions, _ = make_regions(tmp_path)
    columns, _, default, damping, mu, cg, few, both = cells(regions["ablations"])
    assert columns[1] == "adding: solved (95 %)"
    assert columns[5] == "xor: solved (95 %)"
    assert default[:5] == ["**default**", "4 of 4 (51 .. 100 %)", "21 (20 .. 22)", "210 (200 .. 220)", "1"]
    assert damping[:5] == ["`optim.damping=1`", "0 of 4 (0 .. 49 %)", "> 100", "> 1,000", "-"]
    assert mu[:2] == ["`optim.mu=0`", "4 of 4 (51 .. 100 %)"]
    assert mu[4] == "2.00 (1.74 .. 2.30)"  # of all ratios the smallest is 40 / 23, the largest 46 / 20
    assert (cg[0], cg[4]) == ("`optim.cg=5`", "0.47 (0.43 .. 0.50)")
    assert (few[0], few[1], few[4]) == ("`optim.cg=50`", "1 of 4 (5 .. 70 %)", "> 1.30")
    assert both[0] == "`optim.damping=1`, `optim.mu=0`"
    assert all(row[5:] == row[1:5] for row in (default, damping, mu, cg, few, both))


def test_small_batches_need_no_metrics(tmp_path):
    for seed in range(4):
        write(tmp_path / f"hf/small_batches/{seed}", 20, seed=seed)
        (tmp_path / f"hf/small_batches/{seed}/metrics.csv").write_bytes(header(COLUMNS))
    keep(tmp_path / "hf/small_batches")
    regions, _ = make_regions(tmp_path)
    names, _, default = cells(regions["small_batches"])
    assert names[1:] == ["solved (95 %)", "updates", "sequences", "cost / default's (95 %)"]
    assert default[2:] == ["20 (20 .. 20)", "20,000 (20,000 .. 20,000)", "1"]


def test_batches(tmp_path):
    for seed in range(2):
        for size, share in ((100, 1), (100, 4), (400, 4)):
            sizes = {"gradient_batch_size": size, "curvature_batch_size": size // share}
            write(tmp_path / f"hf{size}_{share}_{seed}", size // 5, seed=seed, optim=sizes)
        for lr, at in ((0.1, 40), (0.2, 10), (0.3, None)):
            write(tmp_path / f"nag{lr}_{seed}", at, seed=seed, optim={"name": "nag", "batch_size": 20, "lr": lr})
    runs = read(tmp_path)
    found = {(row[0], row[1]): row[2:] for row in cells(batches_table(runs))[2:]}
    assert found["hf, curvature 25", "100"][1:] == ["20 (20 .. 20)", "20,000 (20,000 .. 20,000)"]
    assert found["nag (lr=0.2)", "20"][1] == "10 (10 .. 10)"
    assert {method for method, _ in found} == {"hf, curvature 25", "hf, curvature 100", "nag (lr=0.2)"}
    picture = draw_batches(runs)
    assert all(name in picture for name in ("hf, curvature on 1/4 of it", "hf, curvature on all of it", "nag"))


def test_tables_of_modules(tmp_path):
    products = {"net": {"ours": {"seconds": [0.1, 0.2], "ratio": {"median": 1.0}}}}
    products["net"]["theirs"] = {"seconds": [0.3, 0.3], "ratio": {"median": 2.0}}
    records = [{"seconds": s, "work": 10 * s, "loss": 1 / (s + 1)} for s in (0.0, 5.1, 20.2)]
    trained = {"problem": "net on data", "trainings": {"rnnbench.HessianFree": records, "torch.optim.Adam": records}}
    bench = {
        "groups": {"modules": [{"products": products}, trained]},
        "machine": {"cpu": "a chip"},
        "versions": {"torch": "2", "jax": None},
        "git": "0123456789",
    }
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench/modules.json").write_text(json.dumps(bench))
    regions, _ = make_regions(tmp_path)
    assert cells(regions["module_products"])[2] == ["net", "150", "300", "2.00"]
    assert "1 thread, a chip; torch 2; revision 0123456." in regions["module_products"]
    table = cells(regions["module_trainings"])
    assert table[0] == ["module", "optimizer", "loss at first", "after 5 s", "after 20 s", "work"]
    assert table[2] == ["net on data", "`rnnbench.HessianFree`", "1", "0.164", "0.0472", "202 products"]
    assert table[3][-1] == "202 gradients"


def test_exponents_at_the_start(tmp_path):
    (tmp_path / "hf").mkdir()
    header_line = "task,init,seed,lyapunov/largest,lyapunov/mean,lyapunov/share_kept\n"
    lines = ["xor,sparse,0,-0.1,-0.5,0.0\n", "xor,sparse,1,-0.2,-0.7,0.02\n", "xor,orthogonal,0,0.01,-0.01,0.5\n"]
    (tmp_path / "hf/init_exponents.csv").write_text(header_line + "".join(lines))
    regions, _ = make_regions(tmp_path)
    _, _, sparse, orthogonal = cells(regions["init_exponents"])
    spread = ["-0.150 (-0.200 .. -0.100)", "-0.600 (-0.700 .. -0.500)", "1 % (0 .. 2 %)"]
    assert sparse == ["`xor`", "`sparse`", *spread]
    assert orthogonal[-1] == "50 % (50 .. 50 %)"


def test_comparison(tmp_path):
    way = {"section": "product", "name": "ours", "difference": 2e-7, "seconds_per_product": [0.1, 0.2], "median": 0.15}
    tables = [{"comparison": [{**way, "ratio": {"median": 2.5}}], "threads": n, "shape": SHAPE} for n in (1, 2)]
    bench = {"groups": {"hf": [{"title": "parts"}, *tables]}, "versions": {"torch": "2"}, "git": "0123456789"}
    (tmp_path / "bench").mkdir()
    bench["machine"] = {"cpu": "a chip", "usable_cores": 2}
    (tmp_path / "bench/hf.json").write_text(json.dumps(bench))
    regions, _ = make_regions(tmp_path)
    assert cells(regions["comparison"])[2] == ["product", "ours", "2e-07", "150", "2.50", "150", "2.50"]
    assert "median of 2 rounds, a chip, 2 cores; torch 2; revision 0123456." in regions["comparison"]


SHAPE = {"replicas": 1, "sequences": 500, "steps": 50, "units": 100}


def region(name, text):
    made = "made by `python -m docs.make hf` -->"
    return f"<!-- begin {name}: {made}\n{text}<!-- end {name}: {made}\n"


def test_regions_are_filled():
    page = f"before\n{region('results', 'old')}between\n{region('other', 'kept')}after\n"
    filled = fill(page, {"results": "new \\1 text\n"})
    assert filled == page.replace("old", "new \\1 text\n")
    assert fill(filled, {"results": "new \\1 text"}) == filled
    for wrong in ("no place", page + page):
        with pytest.raises(PageError, match="results"):
            fill(wrong, {"results": "new"})


@pytest.mark.parametrize("spoil", ["table", "products", "unfinished", "bench", "probes", "exponents", "page", "place"])
def test_bad_records_are_one_line_and_change_nothing(tmp_path, capsys, spoil):
    write(tmp_path / "hf/T030/0", 20)
    page = tmp_path / "hf_results.md"
    page.write_text(region("results", "old\n"))
    if spoil == "products":
        (tmp_path / "hf/T030/0/metrics.csv").write_bytes(header(COLUMNS))
    elif spoil == "unfinished":
        write_summary(tmp_path / "hf/T030/0", Summary(status="running", config={"task": {"name": "adding"}}))
    keep(tmp_path / "hf/T030")
    if spoil == "table":
        (tmp_path / "hf/T030.csv").write_text("a,b\n1,2\n")
    elif spoil == "bench":
        (tmp_path / "bench").mkdir()
        (tmp_path / "bench/hf.json").write_text("{")
    elif spoil == "probes":
        (tmp_path / "hf/first_length_probes.csv").write_text("run,update\na,b\n")
    elif spoil == "exponents":
        (tmp_path / "hf/init_exponents.csv").write_text("task,init\nxor,sparse\n")
    elif spoil == "place":
        page.write_text("nothing")
    elif spoil == "page":
        page.unlink()
    before = page.read_text() if page.exists() else None
    assert main(["hf", "--results", str(tmp_path), "--docs", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err.count("\n")) == ("", 1)
    assert captured.err.startswith("docs.make: ")
    assert (page.read_text() if page.exists() else None) == before


def test_a_page_without_records_is_not_needed(tmp_path):
    write(tmp_path / "hf/T030/0", 20)
    keep(tmp_path / "hf/T030")
    (tmp_path / "hf_results.md").write_text(region("results", "old\n"))
    assert list(pages(tmp_path, tmp_path)) == [tmp_path / "hf_results.md"]


def test_the_pages_and_figures_are_up_to_date():
    made = pages(ROOT / "results", ROOT / "docs")
    names = sorted(path.name for path in made if path.suffix == ".md")
    assert names == ["hf_choices.md", "hf_init.md", "hf_modules.md", "hf_results.md"]
    for path, text in made.items():
        assert path.read_text() == text, "run python -m docs.make hf"
