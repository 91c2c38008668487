"""Posts one batch over HTTP and says what came of it; knows no log and no schedule."""

import base64
import json
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from msys_track.errors import SettingsError
from msys_track.sinks.webhook.addresses import is_private_host
from msys_track.sinks.webhook.guard import GuardedResolver, PrivateAddressError
from msys_track.sinks.webhook.secrets import fill_in, read_line, read_secret
from msys_track.sinks.webhook.settings import WebhookSettings
from msys_track.sinks.webhook.signing import parse_secrets, sign

_USER_AGENT: Final = f"msys-track/{version('msys-track')}"
_UNAUTHORIZED: Final = 401
_MAX_SHOWN: Final = 500
_MAX_READ: Final = 65_536
_MAX_RETRY_AFTER_SECONDS: Final = 3_600.0
# A token is fetched anew so long before it ends; without `expires_in` it is kept for so long.
_SPARE_SECONDS: Final = 30.0
_TOKEN_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a post.

    Attributes:
        status: The answer's; None where there was none.
        error: Why the batch was not taken; empty if it was.
        text: The beginning of the answer's body.
        retry_after_seconds: What the receiver asks for; 0: nothing.
    """

    status: int | None
    error: str = ""
    text: str = ""
    retry_after_seconds: float = 0.0

    @property
    def is_taken(self) -> bool:
        """Whether the receiver has the batch."""
        return not self.error


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a webhook's settings name, with the secrets in it; it never shows them."""

    headers: Mapping[str, str] = field(repr=False)
    oauth_body: Mapping[str, str] = field(repr=False)
    signing_secrets: tuple[bytes, ...] = field(repr=False)


def read_credentials(settings: WebhookSettings) -> Credentials:
    """Read the secrets of a webhook.

    Raises:
        SettingsError: one of them can't be used; the text names its key and does not show it.
    """
    headers = {
        "User-Agent": _USER_AGENT,
        "Content-Type": "application/json",
    }
    if settings.auth == "basic" and settings.user is not None and settings.password is not None:
        pair = f"{settings.user}:{read_secret(settings.password, 'password')}"
        headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    if settings.bearer_token is not None:
        headers["Authorization"] = f"Bearer {read_line(settings.bearer_token, 'bearer_token')}"
    if settings.auth_token is not None:
        headers["X-MessageSystems-Webhook-Token"] = read_line(settings.auth_token, "auth_token")
    for name, value in fill_in(settings.custom_headers, "custom_headers").items():
        same = next((each for each in headers if each.lower() == name.lower()), name)
        headers.pop(same, None)
        headers[name] = value
    source = settings.signing_secret
    return Credentials(
        headers=headers,
        oauth_body=fill_in(settings.oauth_body, "oauth_body"),
        signing_secrets=(
            ()
            if source is None
            else parse_secrets(read_secret(source, "signing_secret"), "signing_secret")
        ),
    )


class WebhookClient:
    """Posts batches to one webhook; an async context manager.

    Redirects are not followed: they are failures, as everything but 2xx is.
    """

    def __init__(self, settings: WebhookSettings, clock: Callable[[], float] = time.time) -> None:
        """Read the secrets.

        Raises:
            SettingsError: one of them, or the file of authorities, can't be used.
        """
        self._settings = settings
        self._clock = clock
        self._credentials = read_credentials(settings)
        self._tls = _make_tls_context(settings)
        self._session: aiohttp.ClientSession | None = None
        self._token = ""
        self._token_ends_at = 0.0

    async def __aenter__(self) -> Self:
        self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def post(self, batch_id: str, body: bytes) -> Answer:
        """Post a batch once; with OAuth 2 and a token that is refused, once more with a new one.

        Args:
            batch_id: The same for every try of a batch.
            body: A JSON array.
        """
        try:
            answer = await self._post_once(batch_id, body)
            if answer.status == _UNAUTHORIZED and self._token:
                self._token = ""
                answer = await self._post_once(batch_id, body)
        except TimeoutError:
            seconds = self._settings.timeout_seconds
            return Answer(None, f"no answer within {seconds:g} s")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Answer(None, _describe(error))
        return answer

    async def close(self) -> None:
        """Close the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = None if self._settings.allow_private else GuardedResolver()
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, ssl=self._tls, limit=2),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A small answer could unfold into gigabytes.
                headers={"Accept-Encoding": "identity"},
                auto_decompress=False,
                timeout=aiohttp.ClientTimeout(total=self._settings.timeout_seconds),
            )
        return self._session

    async def _post_once(self, batch_id: str, body: bytes) -> Answer:
        headers = {**self._credentials.headers, "X-MessageSystems-Batch-ID": batch_id}
        headers |= sign(self._credentials.signing_secrets, batch_id, int(self._clock()), body)
        if self._settings.auth == "oauth2":
            try:
                headers["Authorization"] = f"Bearer {await self._get_token()}"
            except _TokenError as error:
                return Answer(None, str(error))
        return await self._send(self._settings.url, data=body, headers=headers)

    async def _send(self, url: str, **request: Any) -> Answer:
        host = urlsplit(url).hostname or ""
        # The resolver is not asked about an address.
        if not self._settings.allow_private and is_private_host(host):
            raise PrivateAddressError(f"{host} is not on the public internet")
        async with self._open().post(
            URL(url, encoded=True), allow_redirects=False, **request
        ) as response:
            content = b""
            while len(content) < _MAX_READ and (chunk := await response.content.readany()):
                content += chunk
            if not response.content.at_eof():
                response.close()  # the connection can't be used again
            text = content[:_MAX_READ].decode("utf-8", "replace")
            if 200 <= response.status < 300:  # noqa: PLR2004 - RFC 9110 section 15.3
                return Answer(response.status, text=text)
            shown = " ".join(text[:_MAX_SHOWN].split())
            error = f"{response.status} {response.reason or ''}".strip()
            if location := response.headers.get("Location"):
                error += f", which leads to {location[:_MAX_SHOWN]}: give that URL"
            return Answer(
                response.status,
                f"{error}: {shown}" if shown else error,
                text,
                _read_retry_after(response.headers, self._clock()),
            )

    async def _get_token(self) -> str:
        """Return the token of OAuth 2 (RFC 6749 section 4.4), from memory while it is good.

        Raises:
            _TokenError: none was given.
        """
        if self._token and self._clock() < self._token_ends_at:
            return self._token
        url, body = self._settings.oauth_url, dict(self._credentials.oauth_body)
        headers = {
            "Accept": "application/json",
            "User-Agent": _USER_AGENT,
        }
        form = {"data": body} if self._settings.oauth_form else {"json": body}
        answer = await self._send(url or "", headers=headers, **form)
        if not answer.is_taken:
            raise _TokenError(f"no token from {url}: {answer.error}")
        try:
            known = json.loads(answer.text)
            token = str(known["access_token"])
            seconds = float(known.get("expires_in") or _TOKEN_SECONDS)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise _TokenError(f"no token from {url}: the answer has no access_token") from None
        if not (token and token.isascii() and token.isprintable()):
            raise _TokenError(f"no token from {url}: access_token can't stand in a header")
        self._token = token
        self._token_ends_at = self._clock() + seconds - min(_SPARE_SECONDS, seconds / 2)
        return token


class _TokenError(Exception):
    """OAuth 2 gave no token."""


def _make_tls_context(settings: WebhookSettings) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=settings.tls_ca_file)
    except OSError as error:
        text = f"tls_ca_file: {settings.tls_ca_file}: can't be used: {error.strerror or error}"
        raise SettingsError(text) from error


def _describe(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientResponseError):
        # aiohttp gives status 400 to what it can't read: the receiver never said that.
        return " ".join(f"no valid HTTP answer: {error.message}".split())
    text = " ".join(str(error).split())
    return text or error.__class__.__name__


def _read_retry_after(headers: Mapping[str, str], now: float) -> float:
    """Read the seconds of `Retry-After`, of which both forms count (RFC 9110 section 10.2.3).

    A date is held against the receiver's own, where it says that: clocks differ.
    """
    value = headers.get("Retry-After", "")
    if value.isascii() and value.isdecimal():
        seconds = float(value[:9])
    elif (due := _read_date(value)) is not None:
        theirs = _read_date(headers.get("Date", ""))
        seconds = due - (now if theirs is None else theirs)
    else:
        return 0.0
    return max(0.0, min(seconds, _MAX_RETRY_AFTER_SECONDS))


def _read_date(text: str) -> float | None:
    """Read an HTTP date in any of its three forms, in Unix seconds; None where it is none."""
    try:
        date = parsedate_to_datetime(text)
        # All are in UTC, and the oldest form does not say so (RFC 9110 section 5.6.7).
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
