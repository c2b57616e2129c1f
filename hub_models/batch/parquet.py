"""Parquet files: the X-rays in a column of pictures, as data sets of the Hub hold them, and the table of a batch."""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from hub_models.batch.archives import Item, check_bytes, read_file
from hub_models.batch.table import GrowingTable
from hub_models.checkpoints.cells import from_cell
from hub_models.reports.description import printable
from hub_models.xray.images import ImageRefused

if TYPE_CHECKING:  # an optional package
    import pyarrow

ENDING = ".parquet"
TEXTS = ("file", "folder", "status", "conclusion", "note")
"""Columns of a batch's table that hold texts; others do where their name ends with `CLASS`."""
CLASS = " class"


def pictures_in(name: str, path: Path) -> Iterator[Item]:
    """Find the pictures of a Parquet file, a row each; its name is the one that the row gives, or the row's number.

    Args:
        name: the file's name in the results.
        path: the Parquet file.
    """
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        needed = "Parquet files are read with pyarrow; pip install -r hub_models/requirements-ray.txt."
        yield Item(name, problem=needed)
        return
    try:
        with parquet.ParquetFile(path) as file:
            column = _column(file.schema_arrow)
            if column is None:
                held = ", ".join(file.schema_arrow.names)
                yield Item(name, problem=f"No column of {held} holds pictures; call the one that does `image`.")
                return
            for group in range(file.num_row_groups):
                for row, told in enumerate(_names(file, group, column)):
                    inner = PurePath(told or "").name or f"{group}-{row}"
                    yield Item(printable(f"{name}/{inner}"), partial(_read, path.absolute(), column, group, row))
    except (ArrowException, OSError) as error:
        yield Item(name, problem=f"The Parquet file cannot be read ({' '.join(str(error).split())}).")


def write_parquet(table: GrowingTable, path: Path) -> None:
    """Write a batch's table as Parquet: numbers as numbers, nothing where nothing is known, texts as they are."""
    import pyarrow
    from pyarrow import parquet

    rows, columns = table.read_rows(), {}
    for name in table.columns:
        is_text = name in TEXTS or name.endswith(CLASS)
        values = [(from_cell(row[name]) if is_text else float(row[name])) if row[name] else None for row in rows]
        columns[from_cell(name)] = pyarrow.array(values, pyarrow.string() if is_text else pyarrow.float64())
    parquet.write_table(pyarrow.table(columns), path)


def _column(schema: "pyarrow.Schema") -> str | None:
    """Return the column of pictures: `image`, or the only one that holds files."""
    from pyarrow import types

    holding = [
        field.name
        for field in schema
        if types.is_binary(field.type)
        or types.is_large_binary(field.type)
        or (types.is_struct(field.type) and {"bytes", "path"} <= {inner.name for inner in field.type})
    ]
    if "image" in schema.names:
        return "image"
    return holding[0] if len(holding) == 1 else None


def _names(file: Any, group: int, column: str) -> list[str | None]:
    """Return the name of each picture in a row group, None where the file says none; reads no pictures."""
    from pyarrow import types

    kind = file.schema_arrow.field(column).type
    if not types.is_struct(kind):
        return [None] * file.metadata.row_group(group).num_rows
    values = file.read_row_group(group, columns=[f"{column}.path"]).column(0).to_pylist()
    return [value and value["path"] for value in values]


def _read(path: Path, column: str, group: int, row: int) -> bytes:
    """Read the file of one picture."""
    value = _row_group(path, column, group)[row].as_py()
    data, name = (value.get("bytes"), value.get("path")) if isinstance(value, dict) else (value, None)
    if isinstance(value, str) or (data is None and name):
        return read_file(path.parent / (name or value))
    if data is None:
        raise ImageRefused("The row holds no picture.")
    check_bytes(len(data))
    return data


@lru_cache(maxsize=1)  # rows are read in their order
def _row_group(path: Path, column: str, group: int) -> "pyarrow.ChunkedArray":
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        return file.read_row_group(group, columns=[column]).column(0)
