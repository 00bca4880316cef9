"""Why: which Telegram account a bot is, and where its credentials lie. It holds references, never a secret."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from botfleet.spec.rules import Rule, Wire

SecretName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]


class AccountType(StrEnum):
    """Bot: made by BotFather, logs in with a token. User: a person's account, logs in with a stored session."""

    BOT = "Bot"
    USER = "User"


class SecretRef(Wire):
    """A Secret of the bot's namespace, with the label `botfleet.dev/credentials: "true"`."""

    name: SecretName


class SecretKeyRef(Wire):
    """One key of such a Secret."""

    name: SecretName
    key: SecretKey


class DataCenter(Wire):
    """A Telegram server other than the production ones: a test server, or a simulator."""

    id: Annotated[int, Field(ge=1, le=1000, description="Number of the data center.")]
    address: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[A-Za-z0-9._:-]+$",
            description="IP address or host name; a name is resolved by the runner.",
        ),
    ]
    port: Annotated[int, Field(ge=1, le=65535)] = 443
    public_key_secret_ref: Annotated[
        SecretKeyRef | None,
        Field(description="The server's RSA public key (PEM); needed for servers whose key Telethon does not bring."),
    ] = None


class AccountSpec(Wire):
    """The Telegram account of a bot."""

    rules = (
        Rule(
            "self.type != 'Bot' || (has(self.botTokenSecretRef) && !has(self.sessionSecretRef))",
            "a Bot account logs in with a token: give botTokenSecretRef: {name, key}, and no sessionSecretRef",
            lambda a: a.type != AccountType.BOT or (a.bot_token_secret_ref and not a.session_secret_ref),
        ),
        Rule(
            "self.type != 'User' || (has(self.sessionSecretRef) && !has(self.botTokenSecretRef))",
            "a User account logs in with a stored session: give sessionSecretRef: {name, key}, and no botTokenSecretRef",
            lambda a: a.type != AccountType.USER or (a.session_secret_ref and not a.bot_token_secret_ref),
        ),
    )
    type: Annotated[
        AccountType, Field(description="Bot: a token from BotFather. User: a person's account, by session.")
    ]
    api_credentials_secret_ref: Annotated[
        SecretRef, Field(description="Secret with the keys api-id and api-hash, as my.telegram.org shows them.")
    ]
    bot_token_secret_ref: Annotated[SecretKeyRef | None, Field(description="Exactly this for a Bot account.")] = None
    session_secret_ref: Annotated[
        SecretKeyRef | None, Field(description="Exactly this for a User account: a Telethon StringSession.")
    ] = None
    data_center: Annotated[DataCenter | None, Field(description="Only for test servers and the simulator.")] = None
