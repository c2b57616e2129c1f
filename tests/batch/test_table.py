"""The table that grows: its columns are those of the whole table, and what is torn at its end is dropped."""

import resource
from pathlib import Path

import pytest

from hub_models.batch.outputs import table_csv, table_row
from hub_models.batch.run import Result, run
from hub_models.batch.table import GrowingTable, OtherTable, columns_for
from hub_models.pipeline import XrayPipeline
from hub_models.xray.phantom import draw_phantom
from tests.support.bad_files import encoded

COLUMNS = ["file", "=p", "note"]
ROWS = [
    {"file": "肺.png", "=p": 0.1},
    {"file": '=a,"b".png', "=p": -1.5, "note": "One.\r\nTwo."},
    {"file": "c", "=p": None},
]


def grown(path: Path) -> GrowingTable:
    table = GrowingTable(path, COLUMNS)
    table.keep([])
    for row in ROWS:
        table.append(row)
    return table


def test_it_is_the_table_that_is_written_at_once(checkpoints, tmp_path):
    pipeline = XrayPipeline.from_pretrained({role: str(folder) for role, folder in checkpoints.items()})
    (tmp_path / "a.png").write_bytes(encoded(draw_phantom(1, size=64).image))
    for prompts in (None, {"krank": ["COVID-19 lungs"], "-gesund": ["Normal lungs"]}):
        results = list(run(pipeline, [("a.png", tmp_path / "a.png"), ("b.png", tmp_path)], prompts))
        rows = [table_row(result, "a") for result in results]
        table = GrowingTable(tmp_path / f"{prompts is None}.csv", columns_for(pipeline.classifiers, prompts))
        table.keep([])
        for row in rows:
            table.append(row)
        assert table.path.read_bytes() == table_csv(rows)


def test_a_classifier_that_never_answers_has_no_columns(checkpoints):
    pipeline = XrayPipeline.from_pretrained({role: str(folder) for role, folder in checkpoints.items()})
    columns = columns_for(pipeline.classifiers)
    pipeline.classifiers["fusion"].problem = "It has no parts."
    fusion = [column for column in columns if column.startswith("fusion")]
    assert fusion == ["fusion class", "fusion p COVID-19", "fusion p Non-COVID", "fusion p Normal"]
    assert columns_for(pipeline.classifiers) == [column for column in columns if column not in fusion]


def test_it_is_read_up_to_the_last_whole_row_wherever_it_is_cut(tmp_path):
    table = grown(tmp_path / "a.csv")
    whole, rows = table.path.read_bytes(), table.read_rows()
    assert [row["file"] for row in rows] == ["肺.png", '\'=a,"b".png', "c"]
    assert table.columns == ["file", "=p", "note"]
    assert whole.startswith("\ufefffile,'=p,note\r\n肺.png,0.1,\r\n".encode())
    ends = [whole.index(start) for start in ("肺".encode(), b"\"'=a", b"c,,")] + [len(whole)]
    for cut in range(len(whole) + 1):
        table.path.write_bytes(whole[:cut])
        assert table.read_rows() == rows[: sum(cut >= end for end in ends[1:])]
        table.keep(table.read_rows())
        for row in ROWS[len(table.read_rows()) :]:
            table.append(row)
        assert table.path.read_bytes() == whole


def test_rows_in_the_middle_can_be_left_out(tmp_path):
    table = grown(tmp_path / "a.csv")
    whole = table.path.read_bytes()
    rows = table.read_rows()
    table.keep([rows[0], rows[2]])
    assert table.read_rows() == [rows[0], rows[2]]
    table.append(ROWS[1])
    assert sorted(table.path.read_bytes().split(b"\r\n")) == sorted(whole.split(b"\r\n"))


def test_a_row_that_does_not_fit_on_the_disk_leaves_nothing_of_itself(tmp_path):
    table = grown(tmp_path / "a.csv")
    whole = table.path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 3, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            table.append(ROWS[0])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert table.path.read_bytes() == whole


def test_another_table_and_another_row_are_refused(tmp_path):
    table = grown(tmp_path / "a.csv")
    with pytest.raises(OtherTable, match=r"a\.csv was changed by another program; name a new folder\.$"):
        GrowingTable(table.path, [*COLUMNS, "more"]).read_rows()
    with pytest.raises(ValueError, match=r"^The table has no column 'more'; its columns are file, =p, note\.$"):
        table.append({"file": "a.png", "more": 1})
    refused = table_row(Result("a.png", refusal="No."))
    assert columns_for({}) == list(refused)
