"""What a form carries: good in its own session and for what it was made about, and for nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

import httpx
import pytest
from starlette.requests import Request

from shared_auth.authorization.form_tokens import FormTokens
from shared_auth.authorization.sessions import Session
from shared_auth.reasons import Denied, Reason
from tests.shared_auth.flow import ISSUER, Flow

ABOUT = "program:0a9f"


def posted(browser: httpx.AsyncClient, fields: Mapping[str, str], **headers: str) -> Request:
    """Return the request that a form of ``browser`` makes."""
    cookie = "; ".join(f"{one.name}={one.value}" for one in browser.cookies.jar)
    sent = {"cookie": cookie, "content-type": "application/x-www-form-urlencoded"} | headers
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": urlencode(fields).encode(), "more_body": False}

    return Request(scope, receive)


async def refusal(flow: Flow, request: Request, about: str = ABOUT) -> Reason:
    with pytest.raises(Denied) as denied:
        await flow.auth.read_form(request, about=about)
    return denied.value.reason


@pytest.mark.requirement("RS-76")
async def test_a_form_is_taken_in_its_session_for_what_it_is_about(flow: Flow) -> None:
    await flow.sign_in()
    token = await flow.auth.form_token(posted(flow.browser, {}), about=ABOUT)
    form = {"form_token": token, "decision": "allow"}
    assert await flow.auth.read_form(posted(flow.browser, form, origin=ISSUER), about=ABOUT) == form


@pytest.mark.requirement("RS-76")
@pytest.mark.parametrize("about", ["", "program:", "program:0a9e", "program:0a9f ", "0a9f"])
async def test_for_anything_else_it_is_none(flow: Flow, about: str) -> None:
    await flow.sign_in()
    token = await flow.auth.form_token(posted(flow.browser, {}), about=about)
    assert await refusal(flow, posted(flow.browser, {"form_token": token})) is Reason.FORM_STALE
    token = await flow.auth.form_token(posted(flow.browser, {}), about=ABOUT)
    assert await refusal(flow, posted(flow.browser, {"form_token": token}), about) is Reason.FORM_STALE


@pytest.mark.requirement("RS-76")
async def test_from_another_session_another_site_or_nobody_it_is_refused(flow: Flow) -> None:
    await flow.sign_in()
    token = await flow.auth.form_token(posted(flow.browser, {}), about=ABOUT)
    form = {"form_token": token}
    async with flow.client() as other:
        await flow.sign_in(other)
        assert await refusal(flow, posted(other, form)) is Reason.FORM_STALE
    async with flow.client() as nobody:
        assert await refusal(flow, posted(nobody, form)) is Reason.NOT_SIGNED_IN
        with pytest.raises(Denied):
            await flow.auth.form_token(posted(nobody, {}), about=ABOUT)
    foreign = posted(flow.browser, form, origin="https://evil.example")
    assert await refusal(flow, foreign) is Reason.ORIGIN_FOREIGN


@pytest.mark.requirement("RS-76")
def test_no_session_and_subject_together_are_another_two() -> None:
    forms = FormTokens(b"s" * 32, issuer=ISSUER)
    first, second = (Session.of(name, "ada", "") for name in ("one", "two"))
    abouts = ["", ":", "a", "a:b", "\ud800", second.session_hash, f":{second.session_hash}"]
    tokens = {forms.of(session, about) for session in (first, second) for about in abouts}
    assert len(tokens) == 2 * len(abouts)
    assert forms.of(first) == forms.of(first, "")
