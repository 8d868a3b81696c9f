"""What a form carries so that only our own page can have sent it (cross-site request forgery)."""

from __future__ import annotations

import hashlib
import hmac

from starlette.requests import Request

from shared_auth.authorization.parameters import Parameters, read_form
from shared_auth.authorization.sessions import Session, require_same_origin
from shared_auth.reasons import Denied, Reason


class FormTokens:
    """Makes and judges them. One belongs to a session: a page that somebody else was shown is of no use here.

    ``about`` names the one thing that a form decides on, where a form for another thing must not.
    """

    def __init__(self, secret: bytes, *, issuer: str) -> None:
        self._secret = secret
        self._issuer = issuer

    def of(self, session: Session, about: str = "") -> str:
        """Return the token of the forms about ``about`` that ``session`` is shown."""
        # The hash has one length, so nothing can stand for another session and subject together.
        named = f"form:{session.session_hash}:{about}".encode("utf-8", "surrogatepass")
        return hmac.new(self._secret, named, hashlib.sha256).hexdigest()

    async def read(self, request: Request, session: Session, about: str = "") -> Parameters:
        """Return the fields of a form about ``about`` that our own page sent for ``session``. Raises Denied."""
        require_same_origin(request, self._issuer)
        form = await read_form(request)
        if not hmac.compare_digest(form.get("form_token", "").encode(), self.of(session, about).encode()):
            raise Denied(Reason.FORM_STALE)
        return form
