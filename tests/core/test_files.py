"""Files are written whole or not at all, and read with errors that name the place."""

from __future__ import annotations

import errno
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict
from safetensors.numpy import save_file

from candor.core.errors import CandorError, InputError, unwritable
from candor.core.files import (
    atomic_path,
    read_json,
    read_json_lines,
    read_jsonl,
    sha256_of,
    write_json,
    write_jsonl,
    write_text,
)


class Row(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    place: dict[str, int] = {}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_error_while_writing_keeps_the_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    write_jsonl(file, [{"name": "old"}])

    def rows() -> Iterator[dict[str, str]]:
        yield {"name": "new"}
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_jsonl(file, rows())
    assert read_json(file) == {"name": "old"}
    assert names(tmp_path) == ["rows.jsonl"]


def test_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "a.txt"
    write_text(file, "old")
    with atomic_path(file) as temporary:
        temporary.write_text("ne")
        assert file.read_text() == "old"
        temporary.write_text("new")
    assert file.read_text() == "new"
    assert names(file.parent) == ["a.txt"]
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 64 KiB where one may be mounted, else on one that says it is full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", _no_space)
            patch.setattr("safetensors.numpy.serialize_file", _no_space_by_words)
            yield folder
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _no_space(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _no_space_by_words(*_: object, **__: object) -> None:
    raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize("how", ["text", "jsonl", "tensors"])
def test_full_disk_is_an_error_with_a_fix_and_the_old_file_stays(tiny_disk: Path, how: str) -> None:
    file = tiny_disk / "file"
    file.write_bytes(b"old")
    with pytest.raises(CandorError, match="disk is full") as caught:
        if how == "text":
            write_text(file, "x" * 500_000)
        elif how == "jsonl":
            write_jsonl(file, ({"name": "x" * 1000} for _ in range(500)))
        else:  # safetensors writes by itself and has an error of its own
            with atomic_path(file) as temporary:
                save_file({"a": np.zeros(100_000)}, temporary)
    assert str(file) in str(caught.value)
    assert caught.value.fix is not None
    assert file.read_bytes() == b"old"
    assert names(tiny_disk) == ["file"]


def test_device_that_is_always_full_is_recognised() -> None:
    with pytest.raises(OSError, match="No space") as caught, Path("/dev/full").open("w") as file:
        file.write("x")
        file.flush()
    known = unwritable(caught.value, "there")
    assert known is not None
    assert "there: the disk is full" in str(known)
    assert unwritable(FileNotFoundError(errno.ENOENT, "no"), "there") is None
    assert unwritable(ValueError("no space on the page")) is None


def test_place_that_is_a_file_or_a_folder_is_no_place_to_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "file" / "inner", tmp_path / "folder"):
        with pytest.raises(CandorError, match="can't write here"):
            write_text(path, "y")
    assert names(tmp_path) == ["file", "folder"]


def test_json_and_jsonl_read_back_as_written(tmp_path: Path) -> None:
    value = {"name": "Zoë \u2028 \n", "place": {"x": 1}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    write_jsonl(tmp_path / "a.jsonl", [value, Row(name="b")])
    assert read_jsonl(tmp_path / "a.jsonl", Row) == [Row.model_validate(value), Row(name="b")]


def test_json_never_holds_what_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"auroc": float("nan")})
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "broken", [b'{"name": ', b"\xff\xfe", b"[1]", b"3", b"name", b'{"name": ' + b"1" * 5000 + b"}"]
)
def test_broken_line_names_file_and_line_counting_blank_ones(tmp_path: Path, broken: bytes) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'{"name": "a"}\n\n' + broken + b"\n")
    with pytest.raises(InputError) as caught:
        list(read_json_lines(file))
    assert str(caught.value).startswith(f"{file}:3: ")


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ('{"name": 3}', "name"),
        ("{}", "name"),
        ('{"name": "a", "nmae": 1}', "nmae"),
        ('{"name": "a", "place": {"x": "y"}}', "place.x"),
    ],
)
def test_wrong_field_is_named_with_file_and_line(tmp_path: Path, row: str, field: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(f'{{"name": "a"}}\n{row}\n')
    with pytest.raises(InputError) as caught:
        read_jsonl(file, Row)
    assert str(caught.value).startswith(f"{file}:2: field '{field}': ")
    assert (caught.value.path, caught.value.line, caught.value.field) == (file, 2, field)


def test_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"name": "a"}\r\n{"name": "b"}')
    assert [row.name for row in read_jsonl(file, Row)] == ["a", "b"]


@pytest.mark.parametrize("content", [b"{\n\n,}", b"\xff"])
def test_broken_json_file_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(file)
    assert caught.value.path == file
    if content.startswith(b"{"):
        assert caught.value.line == 3


def test_file_that_is_missing_or_a_folder_is_named_and_no_traceback(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        for read in (read_json, lambda p: list(read_json_lines(p))):
            with pytest.raises(InputError) as caught:
                read(path)
            assert caught.value.path == path


def test_hash_is_sha256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_error_is_one_line_and_its_fix_another() -> None:
    error = InputError("is empty", path="a.jsonl", line=3, field="text", fix="write some")
    assert str(error) == "a.jsonl:3: field 'text': is empty\n  fix: write some"
    assert str(InputError("odd", field="k")) == "field 'k': odd"
    assert str(CandorError("odd")) == "odd"
    assert json.dumps(str(error))  # what --json would print


def test_bad_lines_can_be_handed_over_instead_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1}\n{\n[2]\n\n{"a": 3}\n')
    bad: list[InputError] = []
    assert list(read_json_lines(path, bad.append)) == [(1, {"a": 1}), (5, {"a": 3})]
    assert [error.line for error in bad] == [2, 3]
