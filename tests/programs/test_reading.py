"""Kept results read as resources: page by page, between characters, by their owner alone, on the record."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import pytest
from sqlalchemy import text

from portal.audit.audit import AuditUnavailable
from portal.programs.handles import NoSuchResult
from portal.programs.presenting import URI
from portal.programs.reading import LISTED, MAX_BLOB_BYTES, BadCursor, Reading
from tests.programs.standing import READER, WRITER, Standing

PAGE_BYTES = 1_000


@pytest.fixture
def reading(stand: Standing) -> Reading:
    return Reading(stand.results, stand.audit, page_bytes=PAGE_BYTES)


async def records(stand: Standing) -> list[tuple[str, str, int | None]]:
    async with stand.engine.connect() as connection:
        rows = await connection.execute(
            text("SELECT source, outcome, result_bytes FROM audit_programs WHERE kind = 'read_result' ORDER BY id")
        )
        return [(source, outcome, size) for source, outcome, size in rows]


async def test_a_small_result_is_one_page(stand: Standing, reading: Reading) -> None:
    handle = await stand.results.keep(WRITER, b'{"a": 1}')
    (part,) = await reading.read(WRITER, f"{URI}{handle}")
    assert (part.uri, part.media_type, part.text) == (f"{URI}{handle}", "application/json", '{"a": 1}')
    assert await records(stand) == [(f"{URI}{handle}", "ok", 8)]


@pytest.mark.parametrize("words", ["plain ", "é€😀", "😀", "x"])
async def test_pages_follow_one_another_and_make_up_the_whole(stand: Standing, reading: Reading, words: str) -> None:
    whole = json.dumps([words * 700] * 2, ensure_ascii=False)
    uri: str | None = f"{URI}{await stand.results.keep(WRITER, whole.encode())}"
    found = ""
    while uri is not None:
        page, *note = await reading.read(WRITER, uri)
        assert page.text is not None
        assert 0 < len(page.text.encode()) <= PAGE_BYTES
        assert "\ufffd" not in page.text
        found += page.text
        uri = note[0].uri if note else None
        if note:
            assert note[0].text is not None
            assert note[0].text.endswith(f"of {len(whole.encode()):,}; the next page is {uri}")
    assert found == whole


@pytest.mark.parametrize("offset", [1, 2, 3, 4, 5])
async def test_a_page_never_begins_within_a_character(stand: Standing, reading: Reading, offset: int) -> None:
    handle = await stand.results.keep(WRITER, "😀😀".encode())
    (page,) = await reading.read(WRITER, f"{URI}{handle}?offset={offset}")
    assert page.text == ("😀" if offset <= 4 else "")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        URI,
        f"{URI}r_1",
        "{uri}/",
        "{uri}?offset=-1",
        "{uri}?offset=x",
        "{uri}?offset=1&offset=2",
        "{uri}?offset=9999999999999",
        "{uri}#x",
        "{uri}\n",
        " {uri}",
        "portal://other/{handle}",
        "file:///etc/passwd",
    ],
)
async def test_what_is_no_address_of_a_result_is_not_there(stand: Standing, reading: Reading, uri: str) -> None:
    handle = await stand.results.keep(WRITER, b"1")
    with pytest.raises(NoSuchResult):
        await reading.read(WRITER, uri.format(uri=f"{URI}{handle}", handle=handle))
    assert await records(stand) == []


@pytest.mark.requirement("RS-70", "RS-72")
async def test_another_persons_result_is_not_there_and_the_attempt_is_on_the_record(
    stand: Standing, reading: Reading
) -> None:
    uri = f"{URI}{await stand.results.keep(WRITER, b'1')}"
    with pytest.raises(NoSuchResult):
        await reading.read(READER, uri)
    assert await records(stand) == [(uri, "not_found", None)]
    assert (await reading.read(replace(WRITER, client_id="agent-2"), uri))[0].text == "1"


async def test_a_file_is_read_whole_and_one_that_is_too_large_not_at_all(stand: Standing, reading: Reading) -> None:
    handle = await stand.results.keep(WRITER, b"\x89PNG" + bytes(5_000), "image/png")
    (part,) = await reading.read(WRITER, f"{URI}{handle}")
    assert part.blob == base64.b64encode(b"\x89PNG" + bytes(5_000)).decode()
    bounds = replace(stand.results.bounds, handle_bytes=2 * MAX_BLOB_BYTES, person_bytes=4 * MAX_BLOB_BYTES)
    stand.results.bounds = bounds
    handle = await stand.results.keep(WRITER, bytes(MAX_BLOB_BYTES + 1), "image/png")
    (part,) = await reading.read(WRITER, f"{URI}{handle}")
    assert part.text == "4,194,305 bytes: too large to be read here. A program may load it."


async def test_results_are_listed_to_their_owner_page_by_page(stand: Standing, reading: Reading) -> None:
    handles = {await stand.results.keep(WRITER, b"1") for _ in range(LISTED + 1)}
    first, cursor = await reading.listed(WRITER, None)
    second, last = await reading.listed(WRITER, cursor)
    assert {one.handle for one in (*first, *second)} == handles
    assert (len(first), len(second), last) == (LISTED, 1, None)
    assert await reading.listed(READER, None) == ([], None)
    assert await reading.listed(READER, cursor) == ([], None)


@pytest.mark.parametrize("cursor", ["", "x", "1", "1.r", "-1.r_1", "1.r_1;", "1.r_1\n", "9" * 20 + ".r_1"])
async def test_a_cursor_that_is_not_ours_is_refused(reading: Reading, cursor: str) -> None:
    with pytest.raises(BadCursor):
        await reading.listed(WRITER, cursor)


async def test_nothing_is_read_off_the_record(stand: Standing, reading: Reading) -> None:
    uri = f"{URI}{await stand.results.keep(WRITER, b'1')}"
    async with stand.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE audit_programs RENAME TO elsewhere"))
    with pytest.raises(AuditUnavailable):
        await reading.read(WRITER, uri)


async def test_a_page_is_never_empty_however_small(stand: Standing) -> None:
    small = Reading(stand.results, stand.audit, page_bytes=4)
    uri = f"{URI}{await stand.results.keep(WRITER, '😀😀'.encode())}"
    page, note = await small.read(WRITER, uri)
    assert (page.text, note.uri) == ("😀", f"{uri}?offset=4")
