"""What the operator says about the company's provider, refused at start when it would be unsafe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from shared_auth.configuration import ConfigurationError, is_protected


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """The company's OpenID Connect provider and this portal's registration there. Raises ConfigurationError.

    ``issuer`` is compared character for character with what the provider states. Everybody with an account at the
    provider may sign in, unless ``required_claims`` asks more of the ID token: each named claim must equal the value,
    or be a list that holds it. ``sign_in_again_s`` is how old a sign-in may be before the next refresh asks for a new
    one: groups are as fresh as that, and somebody whom the provider no longer knows is out by then. With
    ``identity_assertions`` the provider may say which declared client acts for whom, and nobody is asked.
    """

    issuer: str
    client_id: str
    client_secret: str = field(default="", repr=False)
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    required_claims: Mapping[str, str] = field(default_factory=dict)
    extra_audiences: frozenset[str] = frozenset()
    sign_in_again_s: int = 7 * 86_400
    identity_assertions: bool = False

    def __post_init__(self) -> None:
        if not is_protected(self.issuer) or "?" in self.issuer:
            raise ConfigurationError("oidc.issuer: must be https (http on loopback only), without query or fragment")
        if not self.client_id or not self.client_id.isprintable():
            raise ConfigurationError("oidc.client_id: must be what the provider registered for this portal")
        if "openid" not in self.scopes or any(not one or not one.isprintable() or " " in one for one in self.scopes):
            raise ConfigurationError("oidc.scopes: must be single names, openid among them")
        if not self.groups_claim:
            raise ConfigurationError("oidc.groups_claim: must name the claim that lists a person's groups")
        if self.sign_in_again_s < 3_600:
            raise ConfigurationError("oidc.sign_in_again_s: must be at least an hour")

    @property
    def form_target(self) -> str:
        """The CSP source that lets a form's answer lead to the provider and through whatever it signs people in with.

        Browsers apply ``form-action`` to every redirect that follows, and a provider may hand on to another one.
        """
        parts = urlsplit(self.issuer)
        return "https:" if parts.scheme == "https" else f"https: http://{parts.netloc}"

    @property
    def name(self) -> str:
        """The provider as people may see it, and what tells its subjects from another provider's: no scheme."""
        return self.issuer.partition("://")[2].rstrip("/")
