"""Images of records: what goes into a message, what is refused, and that no path leads out of the folder."""

import os
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from batchroute.core.records import Fault, Record
from batchroute.io.images import Images, kind_of

PNG = b"\x89PNG\r\n\x1a\n" + b"pixels"
JPEG = b"\xff\xd8\xff\xe0" + b"pixels"
GIF = b"GIF89a" + b"pixels"
WEBP = b"RIFF\x10\x00\x00\x00WEBPVP8 "


def record(*values: Any) -> Record:
    fields = {f"c{number}": value for number, value in enumerate(values)}
    return Record(record_id="r", file="in.jsonl", line=1, fields=fields)


def look(folder: Path, *values: Any, most_bytes: int = 1000) -> list[str] | Fault:
    columns = tuple(f"c{number}" for number in range(len(values)))
    inside = folder / "in"
    inside.mkdir(exist_ok=True)
    images = Images(columns, most_bytes=most_bytes, folders={"in.jsonl": (inside, inside)})
    return images.of(record(*values))


def word(found: list[str] | Fault) -> str:
    assert isinstance(found, Fault), found
    return found.error_type


def url(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{b64encode(content).decode()}"


@pytest.mark.parametrize(
    ("kind", "content"), [("png", PNG), ("jpeg", JPEG), ("gif", GIF), ("webp", WEBP)], ids=str
)
def test_files_and_bytes_are_sent_as_what_they_are_whatever_they_are_called(
    tmp_path: Path, kind: str, content: bytes
) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "deep" / "picture.bin").write_bytes(content)

    assert look(tmp_path, "deep/picture.bin", content) == [url(kind, content)] * 2


@pytest.mark.parametrize("address", ["https://example.com/a.png", "HTTP://example.com/a", url("png", PNG)])
def test_urls_are_passed_on(tmp_path: Path, address: str) -> None:
    assert look(tmp_path, address) == [address]


def test_lists_are_taken_in_order_and_nulls_passed_over(tmp_path: Path) -> None:
    first, second = "https://example.com/1", "https://example.com/2"

    assert look(tmp_path, None, [first, None, second], None) == [first, second]


@pytest.mark.parametrize("values", [(None,), (None, []), ("gone.png",), ("in\0side",), (".",)], ids=repr)
def test_what_is_not_there_is_missing(tmp_path: Path, values: tuple[Any, ...]) -> None:
    assert word(look(tmp_path, *values)) == "image_missing"


@pytest.mark.parametrize(
    "value",
    [b"GIF", b"<svg/>", b"", 7, {"url": "x"}, "", "data:text/html,x", "data:image/svg+xml;base64,AAAA"],
)
def test_what_is_no_image_is_refused(tmp_path: Path, value: Any) -> None:
    assert word(look(tmp_path, value)) == "image_type"


def test_a_text_file_is_no_image(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "secret.png").write_text("root:x:0:0")

    assert word(look(tmp_path, "secret.png")) == "image_type"


def test_size_is_bounded_to_the_byte(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    fits, too_large = PNG.ljust(100), PNG.ljust(101)
    (tmp_path / "in" / "fits.png").write_bytes(fits)
    (tmp_path / "in" / "large.png").write_bytes(too_large)

    assert look(tmp_path, "fits.png", fits, most_bytes=100) == [url("png", fits)] * 2
    for value in ("large.png", too_large, url("png", too_large + b"   ")):
        assert word(look(tmp_path, value, most_bytes=100)) == "image_too_large"


def test_all_images_of_a_record_have_a_bound_together(tmp_path: Path) -> None:
    large = PNG.ljust(20_000_000)

    assert word(look(tmp_path, large, large, large, most_bytes=20_000_000)) == "image_too_large"


@pytest.mark.parametrize(
    "path", ["../outside.png", "/etc/passwd", "link.png", "folder/outside.png", "../in2/x"]
)
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    for folder in ("in", "in2"):
        (tmp_path / folder).mkdir()
    for name in ("outside.png", "in2/x"):
        (tmp_path / name).write_bytes(PNG)
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "in" / "folder").symlink_to(tmp_path)

    assert word(look(tmp_path, path)) == "image_outside"


def test_a_link_within_the_folder_is_followed_and_so_is_a_folder_that_is_a_link(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "a.png").write_bytes(PNG)
    (tmp_path / "there" / "b.png").symlink_to("a.png")
    (tmp_path / "in").symlink_to("there")

    assert look(tmp_path, "b.png") == [url("png", PNG)]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    os.mkfifo(tmp_path / "in" / "pipe.png")

    assert word(look(tmp_path, "pipe.png")) == "image_missing"


def test_an_input_without_a_folder_has_no_paths(tmp_path: Path) -> None:
    images = Images(("c0",), most_bytes=10, folders={})

    assert word(images.of(record("a.png"))) == "image_missing"
    assert images.of(record("https://example.com/a")) == ["https://example.com/a"]
    assert not tmp_path.joinpath("a.png").exists()


def test_a_riff_that_is_no_webp_is_no_image() -> None:
    assert kind_of(b"RIFF\x10\x00\x00\x00WAVEfmt ") is None
