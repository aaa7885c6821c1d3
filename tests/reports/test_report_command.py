"""`rnnbench report` as a person calls it."""

import json
import os
import re
import shutil
from html.parser import HTMLParser

import pytest
from recorded_runs import write_run, write_sweep

from rnnbench import cli
from rnnbench.commands.report import parse_options
from rnnbench.reports import files

VOID = {"meta", "br", "link", "img", "input"}


class Page(HTMLParser):
    """Checks that every tag is closed in its turn; keeps text, links and ids."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.links, self.ids, self.used, self.text = [], [], [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        self._note(attributes)

    def handle_startendtag(self, tag, attributes):
        self._note(attributes)

    def _note(self, attributes):
        for name, value in attributes:
            if name in ("href", "src"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
            self.used += re.findall(r"url\(#([^)]+)\)", value or "")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text += data


@pytest.fixture
def rnnbench(tmp_path, monkeypatch, capsys):
    """Call the command in an empty folder: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        try:
            status = cli.main(["report", *words])
        except SystemExit as ended:
            status = ended.code
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def test_a_sweep(rnnbench, tmp_path):
    write_sweep(tmp_path / "runs")
    status, out, err = rnnbench("runs")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "adding, rnn, nag, sgd: 16 runs"
    assert lines[1] == "7 of 16 runs solved: 43.8 % (95 % interval 23 .. 67 %)."
    assert lines[2].startswith(
        "Best of 4 settings for sequence_length=20: nag, lr=0.1, 2 of 2 solved (95 % interval 34 .."
    )
    assert lines[2].endswith(" 3 of the others may be as good: the differences are not significant.")
    assert lines[3].startswith("Best of 4 settings for sequence_length=50: nag, lr=0.1, 2 of 2 solved ")
    assert lines[-1] == "page: runs/report/index.html"
    text = (tmp_path / "runs/report/index.html").read_text()
    page = Page(text)
    assert not re.search(r"https?:|//\w", text)
    assert len(page.ids) == len(set(page.ids))
    assert set(page.used) <= set(page.ids)
    for link in page.links:
        assert link[1:] in page.ids if link.startswith("#") else (tmp_path / "runs/report" / link).is_file(), link
    for words in (
        "43.8 %",
        "7 of 16 runs",
        "95 % interval 23 .. 67 %",
        "sum at its end",
        'What "solved" means',
        "2 (0 .. 1)",
    ):
        assert words in page.text
    assert "#1b1c1d" not in text  # black text on a dark page


def test_groups_by_fields(rnnbench, tmp_path, painted):
    write_sweep(tmp_path / "runs")
    _, out, _ = rnnbench("runs", "by=optim,optim.lr", "--out", "page")
    rows = [line.split() for line in out.splitlines()]
    assert ["nag", "0.1", "4", "4", "100.0", "%"] in [row[:6] for row in rows]
    assert out.endswith("page: page/index.html\n")
    assert not (tmp_path / "runs/report").exists()
    assert "task.sequence_length (20, 50)" in Page((tmp_path / "page/index.html").read_text()).text
    _, out, _ = rnnbench("by=", "runs", "--out", "page")
    assert "all runs    16       7" in out
    assert not (tmp_path / "page/figures/success_against_optim_lr.csv").exists()  # of the page before


def test_one_run(rnnbench, tmp_path, painted):
    write_run(tmp_path / "run", status="solved", solved_at=40, updates=60)
    status, out, _ = rnnbench("run")
    assert status == 0
    assert (
        "1 of 1 run solved: 100.0 % (95 % interval 21 .. 100 %).\nSolved within 40 updates, 400 sequences, 20 s.\n"
        in out
    )
    assert (tmp_path / "run/report/figures/loss_against_updates.svg").is_file()


def test_several_folders_need_a_place(rnnbench, tmp_path, painted):
    write_run(tmp_path / "a")
    write_run(tmp_path / "b", status="running", seed=1)
    status, out, err = rnnbench("a", "b")
    assert (status, out, err) == (
        2,
        "",
        "rnnbench: a report on several folders or tables needs --out DIR, the folder of its page\n",
    )
    status, out, _ = rnnbench("a", "b", "--out", "both")
    assert status == 0
    assert "0 of 2 runs solved" in out
    assert "unfinished" in out
    assert (tmp_path / "both/index.html").is_file()


def test_a_sweep_under_way(rnnbench, tmp_path, painted):
    sweep = tmp_path / "runs"
    plan = [{"folders": ["0", "1", "2"]}, {"folders": ["3", "4", "5"]}]
    for number in range(5):
        (sweep / str(number)).mkdir(parents=True)
    (sweep / "sweep.json").write_text(json.dumps({"groups": plan}))
    status, out, err = rnnbench("runs")
    assert (status, out) == (2, "")
    assert err == "rnnbench: none of the 5 jobs of runs has records yet\n"
    for number in range(2):
        (sweep / str(number)).rmdir()
        status, at = ("running", None) if number else ("solved", 40)
        write_run(sweep / str(number), status=status, solved_at=at, seed=number)
    status, out, _ = rnnbench("runs")
    assert status == 0
    assert out.startswith(
        "adding, rnn, nag: 2 of 5 runs\n1 of 2 runs solved: 50.0 % (95 % interval 9 .. 91 %). Not complete: "
        "1 run unfinished; 3 jobs without records yet, not counted here.\n"
    )
    assert "1 folder with missing or damaged records:\n  runs/5: the folder of this job is missing\n" in out
    page = Page((sweep / "report/index.html").read_text()).text
    assert "3 no records yet" in page
    assert "3 jobs without records yet" in page


def test_a_run_counts_once_however_often_it_is_there(rnnbench, tmp_path, painted):
    for seed in (0, 1):
        write_run(tmp_path / f"a/{seed}", status="solved", solved_at=40, updates=60, seed=seed)
    shutil.copytree(tmp_path / "a", tmp_path / "copy")
    os.symlink("a", tmp_path / "link")
    alone = rnnbench("a", "--out", "page")[1]
    assert "2 of 2 runs solved" in alone
    for words in (["a", "a"], ["a", "a/0"], ["a/0", "a"], ["a", "link"], ["a", tmp_path / "a"], ["a", "a/../a/1"]):
        assert rnnbench(*map(str, words), "--out", "page")[1] == alone
    for words in (["a", "copy"], ["."]):
        _, out, _ = rnnbench(*words, "--out", "page")
        assert out.startswith(alone.partition("\npage:")[0])
        assert "2 runs not counted: same configuration and seed as another run:\n" in out
        assert re.search(r"copy/0: as .*a/0\n", out)
        page = Page((tmp_path / "page/index.html").read_text())
        assert "#repeats" in page.links
        assert "2 of 2 runs solved" in page.text
        assert (tmp_path / "page/runs.csv").read_text().count("\n") == 3


def test_of_runs_that_are_the_same_the_one_that_got_furthest_counts(rnnbench, tmp_path, painted):
    write_run(tmp_path / "runs/a", status="failed", updates=90)
    write_run(tmp_path / "runs/b", status="running", updates=40)
    write_run(tmp_path / "runs/c", status="solved", solved_at=30, updates=60, name="another name")
    write_run(tmp_path / "runs/d", seed=1)
    _, out, _ = rnnbench("runs")
    assert "1 of 2 runs solved" in out
    assert out.count(": as runs/c\n") == 2


def test_rows_of_a_table_are_the_same_runs_as_their_folders(rnnbench, tmp_path, painted):
    write_sweep(tmp_path / "runs")
    rnnbench("runs", "--out", "page")
    _, out, _ = rnnbench("runs", "page/runs.csv", "--out", "both")
    assert "7 of 16 runs solved" in out
    assert "16 runs not counted" in out


def test_runs_below_the_limit_that_were_not_confirmed(rnnbench, tmp_path, painted):
    for seed, rate in enumerate((0.009, 0.5)):
        write_run(tmp_path / str(seed), evaluations=[(0, 1.0, rate)], summary={"solved_error_rate": 0.01}, seed=seed)
    said = "The error rate of 1 run is below the limit at the end, but not on 10,000 further sequences: not solved."
    assert said in rnnbench(".", "--out", "page")[1]
    assert said in (tmp_path / "page/index.html").read_text()
    assert said in rnnbench("page/runs.csv", "--out", "again")[1]


def test_nothing_solved_says_what_came_closest(rnnbench, tmp_path, painted):
    for lr, loss in ((0.1, 0.3), (0.2, 0.1)):
        for length in range(7):
            write_run(
                tmp_path / f"runs/{lr}/{length}",
                optim__lr=lr,
                task__sequence_length=length,
                evaluations=[(0, loss, loss)],
            )
    lines = rnnbench("runs")[1].splitlines()[2:8]
    assert lines[0] == (
        "None of 2 settings for sequence_length=0 solved it. "
        "Closest: lr=0.2 (error rate 10.0 %, constant predictor 90.0 %)."
    )
    assert lines[-1] == "and 2 more, in the table."


def test_damaged_folders_end_nothing(rnnbench, tmp_path, painted):
    for number in range(13):
        write_run(tmp_path / "runs" / f"{number:02}")
        if number:
            (tmp_path / f"runs/{number:02}/summary.json").write_text("<b>")
    status, out, _ = rnnbench("runs")
    assert status == 0
    assert "12 folders with missing or damaged records:\n  runs/01: summary.json: " in out
    assert "and 2 more, on the page" in out
    page = Page((tmp_path / "runs/report/index.html").read_text())
    assert "#problems" in page.links
    assert all(f"runs/{number:02}" in page.text for number in range(1, 13))


def test_words_of_a_run_cannot_break_the_page(rnnbench, tmp_path, painted):
    write_run(tmp_path / "run", task__name="<script>&", model="</table>", optim__lr='"')
    assert rnnbench("run")[0] == 0
    assert "<script>&, nag: 1 run" in Page((tmp_path / "run/report/index.html").read_text()).text


def test_words_of_a_run_reach_neither_terminal_nor_page_raw(rnnbench, tmp_path, painted):
    evil = "\x1b[2J\n\x07\u202e\udcff"
    folder = tmp_path / f"run{evil}"
    for number, name in enumerate((evil, "b")):
        fields = {"task__name": f"task{evil}", f"optim__{evil}": name}
        write_run(folder / str(number), summary={"versions": {evil: evil}}, **fields)
    (folder / f"damaged{evil}").mkdir()
    (folder / f"damaged{evil}" / "summary.json").write_text("<b>")
    status, out, err = rnnbench(str(folder))
    assert (status, err) == (0, "")
    page = (folder / "report/index.html").read_text()
    figures = [path.read_text() for path in (folder / "report/figures").iterdir()]
    for text in (out, page, *figures):
        assert all(character.isprintable() or character in " \n\t" for character in text)
    for text in (out, page):
        assert r"task\x1b[2J\n\x07\u202e\udcff" in text
        assert r"damaged\x1b[2J\n" in text


def test_a_run_without_configuration(rnnbench, tmp_path, painted):
    write_run(tmp_path / "run", summary={"config": {}})
    assert rnnbench("run")[1].startswith("1 run\n")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ([], ["needs the folder"]),
        (["nope"], ["no folder nope"]),
        (["empty"], ["no run in empty"]),
        (["runs", "--outt", "x"], ["--outt", "--help"]),
        (["runs", "by=optim.lrr"], ["by=optim.lrr", "did you mean optim.lr?"]),
        (["runs", "by=lr"], ["did you mean optim.lr?"]),
        (["runs", "by=optim.lr,,seed"], ["empty name"]),
        (["runs", "by=optim.lr, optim.lr"], ["optim.lr twice"]),
        (["runs", "by=seed", "by=optim.lr"], ["by= is given twice"]),
        (["runs", "--out", "file"], ["file is not a folder"]),
        (["runs", "--out", "file/inner"], ["cannot write into file/inner", "--out"]),
        (["broken"], ["no run in broken can be read", "summary.json"]),
    ],
)
def test_bad_input(words, parts, rnnbench, tmp_path):
    write_run(tmp_path / "runs/0")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/summary.json").write_text("{}")
    status, out, err = rnnbench(*words)
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    for part in parts:
        assert part in err
    assert not (tmp_path / "runs/report").exists()


def test_help(rnnbench):
    status, out, _ = rnnbench("--help")
    assert status == 0
    assert "rnnbench report FOLDER|TABLE.csv... [by=FIELD,FIELD] [--out DIR]" in out


def test_a_full_disk_is_said_and_the_table_is_there(rnnbench, tmp_path, monkeypatch, painted):
    write_run(tmp_path / "runs/0")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "write_csv", fail)
    status, out, err = rnnbench("runs")
    assert status == 1
    assert "Outcome" in out
    assert err == "rnnbench: cannot write the page: [Errno 28] No space left on device\n"


def test_options(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("seed=0", "b"):
        (tmp_path / name).mkdir()
    options = parse_options(["seed=0", "by=optim.lr, seed"])
    assert [str(folder) for folder in options.folders] == ["seed=0"]
    assert options.by == ("optim.lr", "seed")
    assert str(options.out) == "seed=0/report"
    assert parse_options(["b"]).by is None
    assert parse_options(["b", "by="]).by == ()


def test_a_folder_of_ones_own_classes_is_taken_and_not_needed(tmp_path, rnnbench):
    (tmp_path / "my").mkdir()
    write_run(tmp_path / "a")
    assert rnnbench("a", "--config-dir", "my")[0] == 0
    assert rnnbench("a", "--config-dir", "other") == (2, "", "rnnbench: --config-dir: there is no folder other\n")
