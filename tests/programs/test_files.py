"""Images, sound and files: from a tool's answer, by handle through the program, to the agent, and what is not passed on."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import mcp_types as t
import pytest

from portal.programs.handles import Bounds
from portal.programs.presenting import MAX_ATTACHED, Attachment
from portal.programs.reply import Reply
from tests.programs.standing import READER, WRITER, Standing, handle_in, standing

PNG = b"\x89PNG\r\n\x1a\n" + b"p" * 2_000
WAV = b"RIFF\x00\x00\x00\x00WAVE" + b"w" * 100
PDF = b"%PDF-1.7 " + b"d" * 500


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def image(data: bytes = PNG, kind: str = "image/png") -> t.ImageContent:
    return t.ImageContent(type="image", data=encoded(data), mime_type=kind)


def file(data: bytes = PDF, kind: str = "application/pdf") -> t.EmbeddedResource:
    contents = t.BlobResourceContents(uri="file:///report.pdf", mime_type=kind, blob=encoded(data))
    return t.EmbeddedResource(type="resource", resource=contents)


async def replied(stand: Standing, code: str, principal: Any = WRITER) -> Reply:
    return await stand.programs.execute(principal, code)


def shown(reply: Reply) -> Any:
    return json.loads(reply.text.split("\n")[1])


async def test_a_program_sees_what_a_file_is_and_not_its_data(stand: Standing) -> None:
    sound = t.AudioContent(type="audio", data=encoded(WAV), mime_type="audio/wav; rate=8000")
    note = t.TextContent(type="text", text="three files")
    stand.desk.files = [note, image(), sound, file()]
    reply = await replied(stand, "import desk\nfound = await desk.get_files()\n[found]")
    words, picture, tone, report = shown(reply)[0]
    assert words == {"type": "text", "text": "three files"}
    handles = [one.pop("handle") for one in (picture, tone, report)]
    assert len(set(handles)) == 3
    assert picture == {"type": "image", "mimeType": "image/png", "bytes": len(PNG)}
    assert tone == {"type": "audio", "mimeType": "audio/wav", "bytes": len(WAV)}
    assert report == {
        "type": "resource",
        "mimeType": "application/pdf",
        "uri": "file:///report.pdf",
        "bytes": len(PDF),
    }
    # It stood deeper than where files are attached: it stays a handle.
    assert reply.attachments == ()
    assert shown(await replied(stand, f"load({handles[1]!r})")) == encoded(WAV)


async def test_a_file_that_is_returned_goes_beside_the_text(stand: Standing) -> None:
    stand.desk.files = [image()]
    reply = await replied(stand, "import desk\n(await desk.get_files())[0]")
    assert shown(reply) == f"<image/png, {len(PNG):,} bytes, attached as 1>"
    (attached,) = reply.attachments
    assert (attached.kind, attached.media_type, attached.data) == ("image", "image/png", encoded(PNG))
    assert encoded(PNG)[:40] not in reply.text


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("files", ["<image/png, 2,008 bytes, attached as 1>", "<application/pdf, 509 bytes, attached as 2>"]),
        ("{'picture': files[0], 'n': 2}", {"picture": "<image/png, 2,008 bytes, attached as 1>", "n": 2}),
        ("['so', files[1]]", ["so", "<application/pdf, 509 bytes, attached as 1>"]),
    ],
)
async def test_files_are_found_in_the_list_or_dictionary_that_is_returned(
    stand: Standing, code: str, value: Any
) -> None:
    stand.desk.files = [image(), file()]
    reply = await replied(stand, f"import desk\nfiles = await desk.get_files()\nreturn {code}")
    assert shown(reply) == value
    assert len(reply.attachments) == json.dumps(value).count("attached as")


async def test_a_later_program_shows_a_file_by_its_handle_and_nobody_else_does(stand: Standing) -> None:
    stand.desk.files = [image()]
    handle = handle_in((await replied(stand, "import desk\n[await desk.get_files()]")).text)
    code = f"{{'type': 'image', 'handle': {handle!r}}}"
    assert len((await replied(stand, code)).attachments) == 1
    reply = await replied(stand, code, READER)
    assert reply.attachments == ()
    assert shown(reply) == "<image, not attached: you have no such result>"


async def test_a_kept_value_can_be_attached_as_a_file(stand: Standing) -> None:
    reply = await replied(stand, "{'type': 'resource', 'handle': save([1, 2])}")
    (attached,) = reply.attachments
    assert attached == Attachment("resource", "application/json", encoded(b"[1,2]"), attached.uri)
    assert attached.uri.startswith("portal://results/r_")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (image(b"<svg onload='x'/>", "image/svg+xml"), "not a type of image that is passed on"),
        (image(b"<html>"), "its data is no such image"),
        (image(PNG, "image/jpeg"), "its data is no such image"),
        (image(b"RIFF\x00\x00\x00\x00WAVE", "image/webp"), "its data is no such image"),
        (image(PNG, "image/png\r\nx: y"), "<application/octet-stream"),
        (image(PNG, "x" * 500 + "/y"), "<application/octet-stream"),
        (t.AudioContent(type="audio", data=encoded(WAV), mime_type="text/html"), "not a type of sound"),
    ],
)
async def test_what_only_claims_to_be_a_file_is_not_attached(stand: Standing, given: Any, says: str) -> None:
    stand.desk.files = [given]
    reply = await replied(stand, "import desk\nawait desk.get_files()")
    assert reply.attachments == ()
    assert says in reply.text


async def test_a_file_that_says_it_is_json_is_loaded_as_the_data_that_it_is(stand: Standing) -> None:
    stand.desk.files = [file(b"\xff not json", "application/json")]
    code = "import desk\n(block,) = await desk.get_files()\n[block['mimeType'], load(block['handle'])]"
    assert shown(await replied(stand, code)) == ["application/json", encoded(b"\xff not json")]


async def test_data_that_is_not_base64_is_neither_kept_nor_attached(stand: Standing) -> None:
    stand.desk.files = [t.ImageContent(type="image", data="not base64!", mime_type="image/png")]
    assert shown(await replied(stand, "import desk\nawait desk.get_files()")) == [
        {"type": "image", "mimeType": "image/png", "error": "its data is not base64"}
    ]
    reply = await replied(stand, "{'type': 'image', 'mimeType': 'image/png', 'data': 'not base64!'}")
    assert shown(reply) == "<image, not attached: its data is not base64>"


async def test_an_image_that_a_program_made_is_judged_as_any_other(stand: Standing) -> None:
    reply = await replied(stand, f"{{'type': 'image', 'mimeType': 'image/png', 'data': {encoded(PNG)!r}}}")
    assert [one.data for one in reply.attachments] == [encoded(PNG)]
    reply = await replied(stand, "{'type': 'image', 'mimeType': 'image/png', 'data': 'aGVsbG8='}")
    assert shown(reply) == "<image/png, 5 bytes, not attached: its data is no such image>"


async def test_so_many_files_are_kept_and_attached(stand: Standing) -> None:
    stand.desk.files = [image() for _ in range(30)]
    code = "import desk\nfiles = await desk.get_files()\nprint([f for f in files if 'error' in f][0]['error'])\nfiles"
    reply = await replied(stand, code)
    assert len(reply.attachments) == MAX_ATTACHED
    assert "<image, not attached: only 10 files are>" in reply.text
    assert "not kept: only 20 files of one answer are" in reply.text


async def test_files_together_have_a_bound(tmp_path: Path) -> None:
    async with standing(tmp_path, bounds=Bounds(3_600, 4_000_000, 40_000_000)) as stand:
        stand.desk.files = [image(PNG + b"x" * 1_500_000) for _ in range(3)]
        reply = await replied(stand, "import desk\nawait desk.get_files()")
    assert len(reply.attachments) == 2
    assert "not attached: more than 4,194,304 bytes together" in reply.text


async def test_a_file_that_cannot_be_kept_does_not_make_its_call_fail(tmp_path: Path) -> None:
    async with standing(tmp_path, bounds=Bounds(3_600, 1_000, 5_000)) as stand:
        stand.desk.files = [image(PNG), *[image(PNG[:900]) for _ in range(6)]]
        found = shown(await replied(stand, "import desk\n[await desk.get_files()]"))[0]
        assert found[0]["error"] == "not kept: a handle holds at most 1000 bytes"
        assert [one.get("error", "kept") for one in found[1:]] == (
            ["kept"] * 5 + ["not kept: this program has saved as much as it may"]
        )


@pytest.mark.parametrize("kind", ["image", "audio", "resource", "text", "Image", 5, None])
async def test_what_merely_looks_like_a_file_stays_what_it_is(stand: Standing, kind: Any) -> None:
    value = {"type": kind, "handle": "r_1", "mimeType": 7}
    reply = await replied(stand, repr(value))
    assert shown(reply) == value
    assert reply.attachments == ()
