"""The peer: FastMCP's CodeMode proxying an upstream. Runs in an environment of its own (its pins differ from ours).

``python peer_fastmcp.py PORT UPSTREAM_URL``
"""

import sys

from fastmcp.experimental.transforms.code_mode import CodeMode
from fastmcp.server import create_proxy

server = create_proxy(sys.argv[2], name="peer")
# Its default of 50 calls a program would fail the 40-at-once row on retries; its speed does not depend on it.
server.add_transform(CodeMode(max_tool_calls=1_000))
server.run(transport="http", host="127.0.0.1", port=int(sys.argv[1]), show_banner=False, log_level="ERROR")
