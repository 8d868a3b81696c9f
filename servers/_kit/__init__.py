"""What every server is made of: tool, Page, failures, http, settings, build, testing."""

from servers._kit.failures import (
    ConnectNeeded,
    Forbidden,
    InvalidInput,
    NotFound,
    RateLimited,
    ToolFailure,
    VendorRejected,
    VendorUnavailable,
)
from servers._kit.paging import Page, page_of
from servers._kit.settings import ServerSettings
from servers._kit.tool import Output, tool

__all__ = [
    "ConnectNeeded",
    "Forbidden",
    "InvalidInput",
    "NotFound",
    "Output",
    "Page",
    "RateLimited",
    "ServerSettings",
    "ToolFailure",
    "VendorRejected",
    "VendorUnavailable",
    "page_of",
    "tool",
]
