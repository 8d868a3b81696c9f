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
from shared_auth.authorization.declared import DEVICE_CODE, JWT_BEARER, PRIVATE_KEY, PUBLIC, Declared
from shared_auth.identity.id_jag import PROFILE
from shared_auth.jose import ALGORITHMS
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


def authorization_server(settings: AuthSettings, declared: Declared) -> dict[str, Any]:
    """Return the RFC 8414 document. What only a declared client can use is named only when there is one."""
    issuer = settings.issuer
    by_document = {} if settings.documents is None else {"client_id_metadata_document_supported": True}
    found: dict[str, Any] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/authorize",
        "token_endpoint": f"{issuer}/token",
        "registration_endpoint": f"{issuer}/register",
        "revocation_endpoint": f"{issuer}/revoke",
        "jwks_uri": f"{issuer}/jwks.json",
        "scopes_supported": [SCOPE],
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": list(declared.grant_types),
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "revocation_endpoint_auth_methods_supported": list(AUTH_METHODS),
        "authorization_response_iss_parameter_supported": True,
        **by_document,
    }
    if DEVICE_CODE in declared.grant_types:
        found["device_authorization_endpoint"] = f"{issuer}/device_authorization"
    if JWT_BEARER in declared.grant_types:
        found["authorization_grant_profiles_supported"] = [PROFILE]
    if declared.introspects:
        found["introspection_endpoint"] = f"{issuer}/introspect"
        found["introspection_endpoint_auth_methods_supported"] = [name for name in AUTH_METHODS if name != PUBLIC]
    if declared.by_private_key:
        for endpoint in [name.removesuffix("_auth_methods_supported") for name in found if "_auth_methods_" in name]:
            found[f"{endpoint}_auth_methods_supported"].append(PRIVATE_KEY)
            found[f"{endpoint}_auth_signing_alg_values_supported"] = list(ALGORITHMS)
    return found


def routes(settings: AuthSettings, declared: Declared, keys: Keys) -> list[Route]:
    """Return the routes of the documents. The resource's is served with its path and, for older clients, without."""
    resource, server = protected_resource(settings), authorization_server(settings, declared)

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
