from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from support.captures import CHAT, COUNTS, SECRET, write_folder

from extproc.replay import folders
from extproc.replay.capture import Capture, CaptureError
from extproc.replay.folders import find_folders


def read(root: Path) -> Capture:
    (source,) = find_folders(root)
    return source.read()


def test_folders_are_found_wherever_they_are(tmp_path: Path) -> None:
    """In the order of their names; a folder that holds only a part of a capture is one."""
    for name in ("b", "a/2", "a/1"):
        write_folder(tmp_path / name)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "response.body").touch()
    (tmp_path / "d").mkdir()
    assert [source.name for source in find_folders(tmp_path)] == ["a/1", "a/2", "b", "c"]


def test_one_folder_is_a_capture_by_its_own_name(tmp_path: Path) -> None:
    """Also where it is named in another way."""
    write_folder(tmp_path / "mine")
    assert [source.name for source in find_folders(tmp_path / "mine")] == ["mine"]


def test_a_name_can_be_printed(tmp_path: Path) -> None:
    """Whatever the folder is called."""
    write_folder(tmp_path / "a\x1b[31m")
    assert [source.name for source in find_folders(tmp_path)] == ["a�[31m"]


def test_a_capture_is_what_its_case_says(tmp_path: Path) -> None:
    """Under the names of recordings."""
    write_folder(
        tmp_path / "x",
        method="PUT",
        status=201,
        request_content_type="text/a",
        response_content_type="text/b",
        response_content_encoding="gzip",
        response_headers={"Content-Length": "1", "X-Other": SECRET, "Content-Type": "text/c"},
        usage=COUNTS | {"billed_tokens": 3},
    )
    read_ = read(tmp_path)
    assert (read_.method, read_.authority, read_.path, read_.status) == ("PUT", "api.openai.com", CHAT, 201)
    assert read_.request_headers == {"content-type": "text/a"}
    assert read_.response_headers == {"content-type": "text/b", "content-encoding": "gzip"}
    assert read_.expected == COUNTS


def test_a_fixture_is_a_capture(tmp_path: Path) -> None:
    """Under the names of the project's own fixtures, with what is usual for the rest."""
    folder = write_folder(tmp_path / "x")
    case = {"authority": "a", "path": CHAT, "content_type": "text/b", "expected": {"provider": "x", "total_tokens": 1}}
    (folder / "case.json").write_text(json.dumps(case))
    read_ = read(tmp_path)
    assert (read_.method, read_.authority, read_.status) == ("POST", "a", 200)
    assert read_.request_headers == {"content-type": "application/json"}
    assert read_.response_headers == {"content-type": "text/b"}
    assert read_.expected == {"total_tokens": 1}


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ({}, None),
        ({"expected": {"provider": "x"}}, None),
        ({"usage": None}, {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}),
    ],
)
def test_what_is_to_be_expected(tmp_path: Path, case: dict[str, object], expected: object) -> None:
    """Usage that is null says that there was none; usage that is not there says nothing."""
    write_folder(tmp_path / "x", **case)
    assert read(tmp_path).expected == expected


def test_a_request_may_be_binary_or_missing(tmp_path: Path) -> None:
    """As a form is, and as GET has none."""
    folder = write_folder(tmp_path / "x")
    (folder / "request.json").rename(folder / "request.bin")
    assert SECRET.encode() in read(tmp_path).request
    (folder / "request.bin").unlink()
    assert read(tmp_path).request == b""


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("case.json", None, "cannot read case.json: No such file or directory"),
        ("case.json", b"{", "case.json: invalid JSON: EOF while parsing an object at line 1 column 1"),
        ("case.json", b"{}", "case.json: path: field required"),
        ("case.json", b'{"path": "/", "status": "%s"}' % SECRET.encode(), "case.json: status: input should be a valid"),
        ("response.body", None, "cannot read response.body: No such file or directory"),
        ("request.json", b"0123456789ABCDEF" * 20, "request.json is larger than 300 bytes"),
    ],
)
def test_a_broken_capture_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, content: bytes | None, said: str
) -> None:
    """In one line, without what stands there."""
    monkeypatch.setattr(folders, "MAX_FILE_BYTES", 300)
    folder = write_folder(tmp_path / "x", response=b"")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(CaptureError, match=f"^{said}") as raised:
        read(tmp_path)
    assert SECRET not in str(raised.value)


def test_a_folder_that_is_closed_is_a_capture_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are read all the same."""
    write_folder(tmp_path / "open")
    closed = tmp_path / "closed"
    closed.mkdir()
    scandir = os.scandir

    def refuse(path: str) -> object:
        if str(path) == str(closed):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    opened, refused = find_folders(tmp_path)
    assert (opened.name, refused.name) == ("open", "closed")
    with pytest.raises(CaptureError):
        refused.read()
