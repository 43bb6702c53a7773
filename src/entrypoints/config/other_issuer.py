"""The settings for tokens of another issuer."""

from typing import Literal

from pydantic_settings import BaseSettings

from ordergate.entrypoints.config.setting_values import Algorithms, JwksUrl, PublicUrl


class OtherIssuerSettings(BaseSettings):
    """How another issuer writes its access tokens, and where its keys are.

    `issuer` and `audience` of `Settings` belong to it too.
    """

    jwks_url: JwksUrl | None = None
    """The URL where another issuer publishes its keys. The service then accepts the tokens of that
    issuer, which `ISSUER` names, and has no sign-in of its own. Default: none."""

    jwt_type: Literal["at+jwt", "jwt"] = "at+jwt"
    """The `typ` of another issuer's access tokens: `at+jwt` (RFC 9068), or `jwt` for an issuer that
    writes `JWT` or no type."""

    jwt_algorithms: Algorithms = ()
    """The signature algorithms that are accepted of another issuer, separated by commas: some of
    RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, ES512, EdDSA, Ed25519 and Ed448.
    Default: all of these."""

    public_url: PublicUrl | None = None
    """The public URL of this service, if another issuer signs the tokens. Clients then find that
    issuer by the metadata of RFC 9728. Default: none."""

    @property
    def issues_tokens(self) -> bool:
        """Whether people sign in here, and not with another issuer."""
        return self.jwks_url is None
