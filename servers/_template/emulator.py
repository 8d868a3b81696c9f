"""A small vendor that keeps state and pages: what the tests and a first run talk to."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from servers._kit.oauth_emulator import OAuthEmulator

FIRST_NOTES = ("How we deploy", "On-call handbook", "Who owns what")


def emulator(accounts: OAuthEmulator | None = None) -> ASGIApp:
    """Return a fresh vendor with three notes. With ``accounts``, it answers only to the token of a person of theirs."""
    notes = [_note(str(i + 1), title, f"{title}: ask the team.", "system") for i, title in enumerate(FIRST_NOTES)]

    async def list_notes(request: Request) -> JSONResponse:
        query = request.query_params.get("q", "").lower()
        start = int(request.query_params.get("cursor") or 0)
        limit = int(request.query_params.get("limit", 20))
        found = [n for n in notes if query in n["title"].lower()]
        end = start + limit
        return JSONResponse({"notes": found[start:end], "next": str(end) if end < len(found) else None})

    async def get_note(request: Request) -> JSONResponse:
        found = next((n for n in notes if n["id"] == request.path_params["id"]), None)
        return JSONResponse(found) if found else JSONResponse({"message": "no such note"}, 404)

    async def add_note(request: Request) -> JSONResponse:
        body = await request.json()
        author = getattr(request.state, "person", body["author"])
        note = _note(str(len(notes) + 1), body["title"], body["text"], author)
        notes.append(note)
        return JSONResponse(note, 201)

    vendor = Starlette(
        routes=[
            Route("/api/notes", list_notes, methods=["GET"]),
            Route("/api/notes", add_note, methods=["POST"]),
            Route("/api/notes/{id}", get_note),
        ]
    )
    return vendor if accounts is None else accounts.before(vendor)


def _note(note_id: str, title: str, text: str, author: str) -> dict[str, str]:
    return {"id": note_id, "title": title, "text": text, "author": author, "created": datetime.now(UTC).isoformat()}
