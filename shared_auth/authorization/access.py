"""Whom a person has let act for them, and how that ends; operators end anybody's access here.

The same way as `portal revoke`: grants end, with every token and running program, on every replica within a second. Who
ended what is on record in the same transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from shared_auth.authorization import redirects
from shared_auth.authorization.form_tokens import FormTokens
from shared_auth.authorization.grants import Grants, Kept
from shared_auth.authorization.pages import page, redirect
from shared_auth.authorization.sessions import Cookies, Session, Sessions
from shared_auth.authorization.way_back import WayBack
from shared_auth.people import People, Person
from shared_auth.reasons import Denied, Reason
from shared_auth.settings import AuthSettings

EVERYBODY = "everybody"
"""What an operator types to end all access: a button alone is pressed too easily."""


class Access:
    """``/access``."""

    def __init__(
        self,
        settings: AuthSettings,
        grants: Grants,
        sessions: Sessions,
        cookies: Cookies,
        people: People,
        forms: FormTokens,
        way_back: WayBack,
    ) -> None:
        self._settings = settings
        self._grants = grants
        self._sessions = sessions
        self._cookies = cookies
        self._people = people
        self._forms = forms
        self._way_back = way_back

    async def show(self, request: Request) -> Response:
        """Answer ``GET /access`` with the person's grants; the front page says how to sign in first and leads back."""
        try:
            session, person = await self._who(request)
        except Denied:
            response = redirect(f"{self._settings.issuer}/")
            self._way_back.remember(response, request)
            return response
        return page(
            "access.html",
            person=person,
            grants=[_shown(kept) for kept in await self._grants.kept(person.subject)],
            operator=self._is_operator(person),
            everybody=EVERYBODY,
            form_token=self._forms.of(session),
        )

    async def endpoint(self, request: Request) -> Response:
        """Answer ``POST /access``: end what the form names, and only that. Raises Denied; then nothing has ended."""
        session, person = await self._who(request)
        form = await self._forms.read(request, session)
        named = self._named(form, person)
        ended = await self._grants.revoke(
            grant_id=named.get("grant_id"),
            subject=named.get("subject"),
            client_id=named.get("client_id"),
            by=person.subject,
        )
        # Asked again: who ended all of their own access has ended this session, too.
        signed_in = await self._sessions.find(self._cookies.session(request)) is not None
        return page("access_ended.html", ended=ended, signed_in=signed_in)

    def _named(self, form: Mapping[str, str], person: Person) -> dict[str, str]:
        """Return what is to end, as ``Grants.revoke`` takes it; {} is everything. Raises Denied."""
        match form.get("end"):
            case "mine":
                return {"grant_id": _name(form, "grant_id"), "subject": person.subject}
            case "all-mine":
                return {"subject": person.subject}
            case other if not self._is_operator(person):
                raise Denied(Reason.OPERATORS_ONLY if other else Reason.NOBODY_NAMED)
            case "person":
                return {"subject": _name(form, "subject")}
            case "client":
                return {"client_id": _name(form, "client_id")}
            case "everybody" if form.get("confirmation") == EVERYBODY:
                return {}
            case "everybody":
                raise Denied(Reason.NOT_CONFIRMED)
            case _:
                raise Denied(Reason.NOBODY_NAMED)

    def _is_operator(self, person: Person) -> bool:
        return not person.groups.isdisjoint(self._settings.admin_groups)

    async def _who(self, request: Request) -> tuple[Session, Person]:
        session = await self._sessions.find(self._cookies.session(request))
        person = None if session is None else await self._people.find(session.subject)
        if session is None or person is None:
            raise Denied(Reason.NOT_SIGNED_IN)
        return session, person


def _name(form: Mapping[str, str], field: str) -> str:
    # An empty name must not become no condition at all, which would end everything.
    name = form.get(field, "").strip()
    if not name:
        raise Denied(Reason.NOBODY_NAMED)
    return name


def _shown(kept: Kept) -> dict[str, str]:
    grant = kept.grant
    return {
        "grant_id": grant.grant_id,
        "client": grant.client_name,
        "client_id": grant.client_id,
        "address": redirects.host(grant.redirect_uri) if grant.redirect_uri else "",
        "since": _time(kept.created_at),
        "used": "" if kept.used_at is None else _time(kept.used_at),
        "scope": grant.scope,
    }


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
