"""Token revocation (RFC 7009), for public clients too."""

from __future__ import annotations

from typing import Any

import pytest

from tests.shared_auth.flow import Flow, refused


async def _revoke(flow: Flow, **form: Any) -> Any:
    return await flow.agent.post("/revoke", data=form)


@pytest.mark.requirement("AS-110", "AS-113")
@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
@pytest.mark.parametrize("hint", [{}, {"token_type_hint": "refresh_token"}, {"token_type_hint": "nonsense"}])
async def test_a_public_client_ends_its_grant_with_either_token_and_any_hint(flow: Flow, which: Any, hint: Any) -> None:
    client, tokens = await flow.login()
    answer = await _revoke(flow, client_id=client["client_id"], token=tokens[which], **hint)
    assert (answer.status_code, answer.content, answer.headers["cache-control"]) == (200, b"", "no-store")
    assert (await flow.call(tokens["access_token"])).status_code == 401
    assert refused(await flow.refresh(client["client_id"], tokens["refresh_token"]), 400, "invalid_grant")
    again = await _revoke(flow, client_id=client["client_id"], token=tokens[which])
    assert again.status_code == 200


@pytest.mark.requirement("AS-113")
async def test_a_spent_refresh_token_still_ends_its_family(flow: Flow) -> None:
    client, tokens = await flow.login()
    renewed = (await flow.refresh(client["client_id"], tokens["refresh_token"])).json()
    await _revoke(flow, client_id=client["client_id"], token=tokens["refresh_token"])
    assert (await flow.call(renewed["access_token"])).status_code == 401


@pytest.mark.requirement("AS-112")
async def test_a_token_that_never_was_is_revoked_already(flow: Flow) -> None:
    client, _ = await flow.login()
    assert (await _revoke(flow, client_id=client["client_id"], token="unknown")).status_code == 200


@pytest.mark.requirement("AS-111")
async def test_another_clients_token_is_refused_and_stays(flow: Flow) -> None:
    _, tokens = await flow.login()
    other = await flow.register()
    for which in ("access_token", "refresh_token"):
        answer = await _revoke(flow, client_id=other["client_id"], token=tokens[which])
        assert refused(answer, 400, "invalid_grant")
    assert (await flow.call(tokens["access_token"])).status_code == 200


async def test_a_confidential_client_must_prove_itself(flow: Flow) -> None:
    client = await flow.register(token_endpoint_auth_method="client_secret_post")
    form = {"client_id": client["client_id"], "token": "x"}
    assert refused(await _revoke(flow, **form), 401, "invalid_client")
    assert refused(await _revoke(flow, **form, client_secret="wrong"), 401, "invalid_client")
    assert (await _revoke(flow, **form, client_secret=client["client_secret"])).status_code == 200


async def test_without_a_token_or_a_client_it_is_refused(flow: Flow) -> None:
    client = await flow.register()
    assert refused(await _revoke(flow, client_id=client["client_id"]), 400, "invalid_request")
    assert refused(await _revoke(flow, token="x"), 401, "invalid_client")
