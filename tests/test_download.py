"""Files from elsewhere: whole and checked, or not at all."""

import hashlib
import io
import urllib.request
from email.message import Message

import pytest

from zerosum.core import download
from zerosum.core.errors import DataError

CONTENT = b"0123456789"


@pytest.fixture
def source(tmp_path):
    (tmp_path / "source").write_bytes(CONTENT)
    return (tmp_path / "source").as_uri()


def test_a_file_arrives_whole_and_its_progress_is_reported(source, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_CHUNK", 4)
    told, target = [], tmp_path / "cache" / "file"
    download.download(source, hashlib.sha256(CONTENT).hexdigest(), target, lambda *report: told.append(report))
    assert target.read_bytes() == CONTENT
    assert told == [("downloading file", done, 10) for done in (4, 8, 10)]
    assert list(target.parent.iterdir()) == [target]


def test_other_bytes_are_not_kept(source, tmp_path):
    target = tmp_path / "cache" / "file"
    with pytest.raises(DataError, match=r"source: has sha256 84d89877\w+, expected 0000; it was not kept"):
        download.download(source, "0000", target)
    assert list(target.parent.iterdir()) == []


def test_a_server_may_not_say_how_much_comes(tmp_path, monkeypatch):
    answer = io.BytesIO(CONTENT)
    answer.headers = Message()
    monkeypatch.setattr(urllib.request, "urlopen", lambda _url, timeout: answer)
    told = []
    digest = hashlib.sha256(CONTENT).hexdigest()
    download.download("https://x", digest, tmp_path / "file", lambda *report: told.append(report))
    assert told == [("downloading file", 10, 0)]
