"""What stands before each address that the portal serves, and the requirements of the auth flow that say so.

An address that is not here fails `portal auth evidence` and a test: none is served without an answer to "who may?".
"""

from __future__ import annotations

from collections.abc import Mapping

GUARDS: Mapping[str, tuple[str, str]] = {
    "/mcp": (
        "the door: an access token for this endpoint alone, whose grant lives; Host and Origin",
        "RS-10 RS-13 RS-18 RS-60",
    ),
    "/.well-known/oauth-protected-resource": ("public", "RS-01 RS-03"),
    "/.well-known/oauth-protected-resource/mcp": ("public", "RS-01 RS-03 RS-04"),
    "/.well-known/oauth-authorization-server": ("public", "AS-03 AS-04"),
    "/jwks.json": ("public: the public halves of the signing keys", "SH-05"),
    "/register": ("open to everyone; bounded in pace, number, size and life; grants nothing", "AS-50 AS-51 AS-52"),
    "/authorize": (
        "client and address first; then the session or the browser, and a question",
        "AS-11 AS-60 AS-63 GW-01",
    ),
    "/consent": ("our own form, the question's id, the browser that was asked, once", "GW-08 GW-11 GW-13"),
    "/token": (
        (
            "the client proves itself; a code with its verifier, a refresh token, a device code, an assertion, once; "
            "or a server's own client, with the token of a call: the credential of whoever calls it"
        ),
        "AS-02 AS-14 AS-20 AS-102 AS-140 VG-02",
    ),
    "/revoke": ("the client proves itself; its own tokens alone", "AS-110 AS-111"),
    "/introspect": ("a client that the operator declared for it, proven", "AS-114 AS-115"),
    "/device_authorization": ("a declared client, proven; paced", "AS-126"),
    "/device": ("a signed-in person, our own form, the question's id; tries are paced", "AS-125 AS-126 AS-131"),
    "/sign-in": ("our own form; a one-time link, or the way to the company's provider", "AS-132 AS-133 AS-143"),
    "/sign-in/callback": (
        "the state in the cookie of the browser that left, once; the provider that was asked",
        "GW-22 GW-23 GW-26 GW-30",
    ),
    "/sign-in/logout": (
        "the provider: a logout token that its key signed, for us, fresh, and no ID token",
        "GW-36 GW-37",
    ),
    "/sign-out": ("our own form", "AS-132"),
    "/access": (
        "a session; ending needs our own form of this session; other people's access is the operators'",
        "AS-141 AS-142",
    ),
    "/programs": ("a session; what is listed is the person's own", "RS-70 RS-76"),
    "/programs/{id}": (
        "a session; the person's own, else not there; deciding needs our own form of this session and program, once",
        "RS-70 RS-74 RS-76",
    ),
    "/connections": ("a session; served where a server works with people's accounts", "VG-03 VG-16"),
    "/connect/callback": (
        "the session that left, by its state, once, within ten minutes; the vendor that was asked",
        "VG-11 VG-12 VG-13 VG-21",
    ),
    "/connect/{server}": ("a session; leaving needs our own form of this session", "VG-10 VG-15 VG-16"),
    "/connect/{server}/site": (
        "a session; choosing needs our own form of this session, and a site that the vendor names",
        "VG-16",
    ),
    "/disconnect/{server}": ("our own form of this session", "VG-09 VG-16"),
    "/": ("a session; without one the page says how to sign in", "AS-130 AS-138"),
    "/healthz": ("public: says ok", ""),
}
