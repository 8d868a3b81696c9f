"""The peers, FastMCP over every tool: ``search`` is its search transform, ``code`` its CodeMode, ``code10`` CodeMode
whose search an operator limited to ten. Runs in an environment of its own (its pins differ from ours).

``python peer.py PORT UPSTREAM_URL search|code|code10``
"""

import sys

from fastmcp.experimental.transforms.code_mode import CodeMode, GetSchemas, Search
from fastmcp.server import create_proxy
from fastmcp.server.transforms.search import BM25SearchTransform

server = create_proxy(sys.argv[2], name="peer")
# Its default of 50 calls a program would fail tasks that need more; the tokens do not depend on it.
ways = {
    "search": BM25SearchTransform(),
    "code": CodeMode(max_tool_calls=1_000),
    "code10": CodeMode(max_tool_calls=1_000, discovery_tools=[Search(default_limit=10), GetSchemas()]),
}
server.add_transform(ways[sys.argv[3]])
server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False, log_level="ERROR")
