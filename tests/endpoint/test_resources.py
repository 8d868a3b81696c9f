"""Kept results as resources, as a client of either protocol era meets them."""

from __future__ import annotations

import mcp_types as t
import pytest
from mcp.shared.exceptions import MCPError
from structlog.testing import capture_logs

from portal.audit.audit import AuditUnavailable
from portal.endpoint.resources import MAX_URI_CHARS, NOT_FOUND
from portal.endpoint.server import Progress
from portal.programs.handles import Kept, ResultsUnavailable
from portal.programs.presenting import Attachment
from portal.programs.reading import BadCursor, Part
from tests.endpoint.serving import ERAS, Behind, Said, agent
from tests.upstream.serving import ALICE

HANDLE = "r_" + "0" * 26
URI = f"portal://results/{HANDLE}"
KEPT = Kept(HANDLE, "application/json", 1_234, 1_764_115_200_000, 1_764_118_800_000)
SECRET = "sk-live-hunter2"


@pytest.mark.parametrize("era", ["auto", "legacy"])
async def test_the_capability_is_told_and_nothing_is_promised_beyond_it(era: str) -> None:
    async with agent(Behind(), era) as client:
        capabilities = client.server_capabilities
    assert capabilities.resources is not None
    assert not capabilities.resources.subscribe
    assert not capabilities.resources.list_changed
    assert capabilities.prompts is None


@pytest.mark.parametrize("era", ERAS)
async def test_a_persons_results_are_listed_page_by_page(era: str) -> None:
    behind = Behind(kept=[KEPT])
    async with agent(behind, era) as client:
        first = await client.list_resources()
        second = await client.list_resources(cursor=first.next_cursor)
        (template,) = (await client.list_resource_templates()).resource_templates
    (resource,) = first.resources
    assert (str(resource.uri), resource.name, resource.mime_type, resource.size) == (
        URI,
        HANDLE,
        "application/json",
        1_234,
    )
    assert resource.description == "Kept by a program at 2025-11-26 00:00 UTC, until 2025-11-26 01:00 UTC."
    assert (second.resources, second.next_cursor) == ([], None)
    assert template.uri_template == "portal://results/{handle}{?offset}"
    assert behind.principals == [ALICE] * 2


@pytest.mark.parametrize("era", ERAS)
async def test_text_and_data_are_read(era: str) -> None:
    parts = [Part(URI, "application/json", text="[1]"), Part(f"{URI}?offset=3", "text/plain", text="more")]
    behind = Behind(parts={URI: parts, "portal://results/x": [Part("portal://results/x", "image/png", blob="aGk=")]})
    async with agent(behind, era) as client:
        page, note = (await client.read_resource(URI)).contents
        (picture,) = (await client.read_resource("portal://results/x")).contents
    assert isinstance(page, t.TextResourceContents)
    assert isinstance(note, t.TextResourceContents)
    assert (page.text, str(page.uri), page.mime_type) == ("[1]", URI, "application/json")
    assert (note.text, str(note.uri)) == ("more", f"{URI}?offset=3")
    assert isinstance(picture, t.BlobResourceContents)
    assert (picture.blob, picture.mime_type) == ("aGk=", "image/png")


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_not_there_is_an_error_of_the_protocol(era: str) -> None:
    async with agent(Behind(), era) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(f"{URI}{'0' * 500}")
    assert caught.value.error.code == (NOT_FOUND if era == "legacy" else t.INVALID_PARAMS)
    assert caught.value.error.data == {"uri": f"{URI}{'0' * 500}"[:MAX_URI_CHARS]}


@pytest.mark.parametrize("era", ERAS)
async def test_a_cursor_that_is_not_ours_is_refused(era: str) -> None:
    async with agent(Behind(search_error=BadCursor()), era) as client:
        with pytest.raises(MCPError) as caught:
            await client.list_resources(cursor="x")
    assert caught.value.error.code == t.INVALID_PARAMS


@pytest.mark.parametrize("era", ERAS)
async def test_what_breaks_inside_is_logged_under_an_id_and_says_nothing(era: str) -> None:
    with capture_logs() as logged:
        async with agent(Behind(search_error=RuntimeError(SECRET)), era) as client:
            with pytest.raises(MCPError) as listing:
                await client.list_resources()
            with pytest.raises(MCPError) as reading:
                await client.read_resource(URI)
    lines = [line for line in logged if line["event"] == "endpoint.failed"]
    assert [line["method"] for line in lines] == ["resources/list", "resources/read"]
    for caught, line in zip((listing, reading), lines, strict=True):
        assert caught.value.error.message == f"The portal failed. Error id {line['error_id']}."


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize("error", [ResultsUnavailable(SECRET), AuditUnavailable(SECRET)])
async def test_a_store_that_is_away_is_said_so_and_is_no_fault_of_ours(era: str, error: Exception) -> None:
    with capture_logs() as logged:
        async with agent(Behind(search_error=error), era) as client:
            with pytest.raises(MCPError) as caught:
                await client.read_resource(URI)
    assert caught.value.error.message == "Kept results cannot be reached now. Try again a little later."
    assert [line["event"] for line in logged] == ["resources.unavailable"]
    assert SECRET not in str(logged)


@pytest.mark.parametrize("era", ERAS)
async def test_files_of_a_reply_are_content_blocks_of_their_kind(era: str) -> None:
    files = (
        Attachment("image", "image/png", "aW1hZ2U=", ""),
        Attachment("audio", "audio/wav", "c291bmQ=", ""),
        Attachment("resource", "application/pdf", "ZmlsZQ==", URI),
    )

    async def execute(_code: str, _progress: Progress | None) -> Said:
        return Said("three files", attachments=files)

    async with agent(Behind(execute), era) as client:
        text, image, audio, file = (await client.call_tool("execute", {"code": "1"})).content
    assert isinstance(text, t.TextContent)
    assert text.text == "three files"
    assert isinstance(image, t.ImageContent)
    assert (image.data, image.mime_type) == ("aW1hZ2U=", "image/png")
    assert isinstance(audio, t.AudioContent)
    assert (audio.data, audio.mime_type) == ("c291bmQ=", "audio/wav")
    assert isinstance(file, t.EmbeddedResource)
    assert isinstance(file.resource, t.BlobResourceContents)
    assert (file.resource.blob, str(file.resource.uri)) == ("ZmlsZQ==", URI)
