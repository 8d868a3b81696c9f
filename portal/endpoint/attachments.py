"""Files that go beside a reply's text, as content blocks."""

from __future__ import annotations

import mcp_types as t

from portal.programs.presenting import Attachment

Block = t.TextContent | t.ImageContent | t.AudioContent | t.EmbeddedResource


def block(attachment: Attachment) -> Block:
    """Return a file as the content block of its kind."""
    if attachment.kind == "image":
        return t.ImageContent(type="image", data=attachment.data, mime_type=attachment.media_type)
    if attachment.kind == "audio":
        return t.AudioContent(type="audio", data=attachment.data, mime_type=attachment.media_type)
    contents = t.BlobResourceContents(uri=attachment.uri, mime_type=attachment.media_type, blob=attachment.data)
    return t.EmbeddedResource(type="resource", resource=contents)
