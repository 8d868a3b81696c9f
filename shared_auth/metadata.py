"""The public documents: RFC 9728 (which authorization server), RFC 8414 (what it can do), and the public keys.

They say exactly what is served, no more: a client that finds a capability here may rely on it.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from shared_auth.authorization.answers import CROSS_ORIGIN
from shared_auth.authorization.client import AUTH_METHODS
from shared_auth.keys import Keys
from shared_auth.settings import SCOPE, AuthSettings

CACHE = {"Cache-Control": "public, max-age=60"}
PROTECTED_RESOURCE = "/.well-known/oauth-protected-resource"


def protected_resource(settings: AuthSettings) -> dict[str, Any]:
    """Return the RFC 9728 document."""
    return {
        "resource": settings.resource,
        "authorization_servers": [settings.issuer],
        "scopes_supported": [SCOPE],
        "bearer_methods_supported": ["header"],
        "resource_name": "MCP portal",
    }


def authorization_server(settings: AuthSettings) -> dict[str, Any]:
    """Return the RFC 8414 document."""
    issuer = settings.issuer
    by_document = {} if settings.documents is None else {"client_id_metadata_document_supported": True}
    return {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "registration_endpoint": f"{issuer}/register",
        "revocation_endpoint": f"{issuer}/revoke",
        "jwks_uri": f"{issuer}/jwks.json",
        "scopes_supported": [SCOPE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "authorization_response_iss_parameter_supported": True,
        **by_document,
    }


def routes(settings: AuthSettings, keys: Keys) -> list[Route]:
    """Return the routes of the documents. The resource's is served with its path and, for older clients, without."""
    resource, server = protected_resource(settings), authorization_server(settings)

    async def resource_document(_request: Request) -> Response:
        return JSONResponse(resource, headers=CACHE)

    async def server_document(_request: Request) -> Response:
        return JSONResponse(server, headers=CACHE)

    async def key_document(_request: Request) -> Response:
        return JSONResponse({"keys": list(keys.public.values())}, headers=CACHE)

    served = [
        (PROTECTED_RESOURCE, resource_document),
        (f"{PROTECTED_RESOURCE}{settings.resource_path}", resource_document),
        ("/.well-known/oauth-authorization-server", server_document),
        ("/jwks.json", key_document),
    ]
    return [Route(path, document, methods=["GET", "OPTIONS"], middleware=CROSS_ORIGIN) for path, document in served]
