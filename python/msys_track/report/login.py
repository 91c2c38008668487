"""Who sees the report: logging in, sessions, logging out.

A session is a random cookie and what this process remembers of it, so that a new process knows
nobody and a session that is ended is over at once, wherever the cookie went.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from msys_track.accounts.limits import Counted
from msys_track.accounts.users import User, Users, UsersBusyError, fold_name
from msys_track.logs import event_logger
from msys_track.report.rendering import render, translate

log = event_logger(__name__)

LOGIN_PATH: Final = "/login"

_COOKIE: Final = "msys-track"
# A browser takes a cookie of this name from the host itself alone, over TLS (RFC 6265bis).
_SECURE_COOKIE: Final = "__Host-msys-track"
_FORM_COOKIE: Final = "msys-track-login"
_FORM_SECONDS: Final = 3_600
_ID_BYTES: Final = 32
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{43}")  # as `secrets` writes so many bytes
_MAX_SESSIONS: Final = 1_000
_MAX_FORM_BYTES: Final = 16_384
_MAX_FIELDS: Final = 10
_MAX_NEXT: Final = 2_000
_TRIES_A_MINUTE: Final = 10
_TRIES_OF_A_USER_A_MINUTE: Final = 5
_KNOWN_PAIRS: Final = 1_000
_SECONDS_AN_HOUR: Final = 3_600
_SECONDS_A_MINUTE: Final = 60


@dataclass(slots=True, eq=False, kw_only=True)
class Session:
    """Somebody who is logged in.

    Attributes:
        key: The hash of its cookie.
        user: Their name, as the file has it.
        account: Their entry of the file: another password ends the session.
        token: What their forms must have, so that no other page can send them.
        began: When they logged in.
        used: When they last asked for a page.
    """

    key: bytes = field(repr=False)
    user: str
    account: User = field(repr=False)
    token: str = field(repr=False)
    began: float
    used: float


class Sessions:
    """All sessions of this process, by a hash of their cookie.

    Args:
        users: Who may log in.
        longest_seconds: How long a session lasts at most.
        idle_seconds: How long it lasts without a page.
        now: Seconds that never go back.
    """

    def __init__(
        self,
        users: Users,
        *,
        longest_seconds: float,
        idle_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.now = now
        self._users = users
        self._longest = longest_seconds
        self._idle = idle_seconds
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sessions)

    def begin(self, account: User) -> str:
        """Begin a session and return its cookie; the oldest one ends where there are too many."""
        now, cookie = self.now(), secrets.token_urlsafe(_ID_BYTES)
        for key, each in list(self._sessions.items()):
            if not self._is_good(each, now):
                del self._sessions[key]
        while len(self._sessions) >= _MAX_SESSIONS:
            self._sessions.popitem(last=False)
        key = _hash(cookie)
        self._sessions[key] = Session(
            key=key,
            user=account.name,
            account=account,
            token=secrets.token_urlsafe(_ID_BYTES),
            began=now,
            used=now,
        )
        return cookie

    def find(self, cookie: str | None) -> Session | None:
        """Find the session of a cookie, unless it is over, and note that it is in use."""
        session = self._sessions.get(_hash(cookie)) if cookie else None
        if session is None or not self.goes_on(session):
            self.end(cookie)
            return None
        session.used = self.now()
        return session

    def goes_on(self, session: Session) -> bool:
        """Whether a session is not over; to ask does not prolong it."""
        return self._sessions.get(session.key) is session and self._is_good(session, self.now())

    def end(self, cookie: str | None) -> None:
        """End the session of a cookie, if there is one."""
        if cookie:
            self._sessions.pop(_hash(cookie), None)

    def _is_good(self, session: Session, now: float) -> bool:
        return (
            now - session.began < self._longest
            and now - session.used < self._idle
            and self._users.find(session.user) == session.account
        )


class Door:
    """What logging in needs: the users, their sessions, and how often somebody may try.

    Args:
        users: Who may log in.
        session_hours: How long a session lasts at most.
        idle_minutes: How long it lasts without a page.
        count: Counts what happens.
        now: Seconds that never go back.
    """

    def __init__(
        self,
        users: Users,
        *,
        session_hours: int,
        idle_minutes: int,
        count: Callable[[str], None] = lambda _: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.users = users
        self.count = count
        self.sessions = Sessions(
            users,
            longest_seconds=session_hours * _SECONDS_AN_HOUR,
            idle_seconds=idle_minutes * _SECONDS_A_MINUTE,
            now=now,
        )
        self._tries = Counted()
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._form_key = secrets.token_bytes(_ID_BYTES)

    def may_try(self, user: str, address: str) -> bool:
        """Count a try, and return whether it may be made; False: it is one too many.

        Whoever tries a user's name from elsewhere can't keep that user out: where a user has
        logged in from before, their tries are counted apart.
        """
        now, network = self.sessions.now(), _find_network(address)
        # Behind a colon a login may say what it counts for: it is the same user's all the same.
        name = fold_name(user.partition(":")[0])[:256]
        known = network if (name, network) in self._known else ""
        of_address = self._tries.find_bucket(("address", network), _TRIES_A_MINUTE, now)
        of_user = self._tries.find_bucket(("user", name, known), _TRIES_OF_A_USER_A_MINUTE, now)
        return of_address.take(now) and of_user.take(now)

    def note_known(self, user: str, address: str) -> None:
        """Remember where a user has logged in from."""
        pair = fold_name(user), _find_network(address)
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > _KNOWN_PAIRS:
            self._known.popitem(last=False)

    def make_form_token(self, nonce: str) -> str:
        """Make what a login form must have beside the cookie that came with it."""
        return hmac.new(self._form_key, nonce.encode(), hashlib.sha256).hexdigest()

    def is_form_token(self, nonce: str, token: str) -> bool:
        """Whether a login form is one of ours."""
        return hmac.compare_digest(self.make_form_token(nonce).encode(), token.encode())


class LoggedIn:
    """Lets nobody through who has not logged in: they are led to the login page, and back."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":  # nothing else is for anybody
            return
        request = Request(scope)
        door: Door = request.app.state.door
        session = door.sessions.find(_read_cookie(request))
        if session is not None:
            request.state.session = session
            await self._app(scope, receive, send)
            return
        if request.method not in {"GET", "HEAD"}:
            raise HTTPException(HTTPStatus.FORBIDDEN)
        # As it was sent: decoded, a space would make it none of ours.
        wanted = scope["raw_path"].decode("latin-1")
        if query := scope["query_string"].decode("latin-1"):
            wanted += f"?{query}"
        where = f"?{urlencode({'next': wanted})}" if wanted != "/" else ""
        await RedirectResponse(LOGIN_PATH + where, HTTPStatus.SEE_OTHER)(scope, receive, send)


async def show_login(request: Request) -> Response:
    """Show the form; who is logged in goes on."""
    door: Door = request.app.state.door
    wanted = _read_next(request.query_params.get("next"))
    if door.sessions.find(_read_cookie(request)) is not None:
        return RedirectResponse(wanted, HTTPStatus.SEE_OTHER)
    return _show_form(request, wanted)


async def log_in(request: Request) -> Response:
    """Check a name and a password, and begin a session."""
    door: Door = request.app.state.door
    form = await _read_form(request)
    wanted = _read_next(form.get("next"))
    nonce, user = request.cookies.get(_FORM_COOKIE, ""), form.get("user", "").strip()
    if not nonce or not door.is_form_token(nonce, form.get("token", "")):
        return _refuse(request, wanted, "stale", HTTPStatus.FORBIDDEN)
    address = request.client.host if request.client is not None else ""
    if not door.may_try(user, address):
        return _refuse(request, wanted, "too_often", HTTPStatus.TOO_MANY_REQUESTS)
    try:
        login = await door.users.check(user, form.get("password", ""))
    except UsersBusyError:
        return _refuse(request, wanted, "busy", HTTPStatus.SERVICE_UNAVAILABLE)
    account = door.users.find(login.user) if login is not None else None
    if account is None:
        return _refuse(request, wanted, "wrong", HTTPStatus.FORBIDDEN)
    door.note_known(account.name, address)
    door.count("report.logins")
    log.info("report.logged_in", user=account.name, client=address)
    # The session before, if any, is not used on: whoever knew its cookie does not know this one.
    door.sessions.end(_read_cookie(request))
    answer = RedirectResponse(wanted, HTTPStatus.SEE_OTHER)
    is_secure = request.url.scheme == "https"
    answer.set_cookie(
        _SECURE_COOKIE if is_secure else _COOKIE,
        door.sessions.begin(account),
        path="/",
        secure=is_secure,
        httponly=True,
        samesite="lax",
    )
    answer.delete_cookie(_FORM_COOKIE, path=LOGIN_PATH)
    return answer


async def log_out(request: Request) -> Response:
    """End a session."""
    door: Door = request.app.state.door
    form = await _read_form(request)
    cookie = _read_cookie(request)
    session = door.sessions.find(cookie)
    if session is not None:
        if not hmac.compare_digest(session.token.encode(), form.get("token", "").encode()):
            raise HTTPException(HTTPStatus.FORBIDDEN)
        door.sessions.end(cookie)
        log.info("report.logged_out", user=session.user)
    answer = RedirectResponse(LOGIN_PATH, HTTPStatus.SEE_OTHER)
    answer.headers["Clear-Site-Data"] = '"cache", "storage"'
    for name in (_COOKIE, _SECURE_COOKIE):
        answer.delete_cookie(name, path="/", secure=name == _SECURE_COOKIE)
    return answer


ROUTES: Final = (
    Route(LOGIN_PATH, show_login, methods=["GET"]),
    Route(LOGIN_PATH, log_in, methods=["POST"]),
    Route("/logout", log_out, methods=["POST"]),
)


def _show_form(
    request: Request, wanted: str, fault: str = "", status: HTTPStatus = HTTPStatus.OK
) -> Response:
    door: Door = request.app.state.door
    # The same for all forms that are open in one browser.
    nonce = request.cookies.get(_FORM_COOKIE, "")
    if not _NONCE.fullmatch(nonce):
        nonce = secrets.token_urlsafe(_ID_BYTES)
    token = door.make_form_token(nonce)
    answer = render(request, "login.html", status=status, next=wanted, token=token, fault=fault)
    answer.set_cookie(
        _FORM_COOKIE,
        nonce,
        path=LOGIN_PATH,
        max_age=_FORM_SECONDS,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
    return answer


def _refuse(request: Request, wanted: str, why: str, status: HTTPStatus) -> Response:
    door: Door = request.app.state.door
    door.count(f"report.login_refused.{why}")
    address = request.client.host if request.client is not None else ""
    # No name: people type their password into the wrong field.
    log.warning("report.login_refused", why=why, client=address)
    return _show_form(request, wanted, translate(f"login.{why}"), status)


def _read_cookie(request: Request) -> str | None:
    name = _SECURE_COOKIE if request.url.scheme == "https" else _COOKIE
    return request.cookies.get(name)


async def _read_form(request: Request) -> Mapping[str, str]:
    """Read a small form that our own page has sent.

    Raises:
        HTTPException: another page sent it, or it is no such form.
    """
    # `Origin` says nothing here: it is "null", since our pages send no referrer.
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        raise HTTPException(HTTPStatus.FORBIDDEN)
    kind = Headers(scope=request.scope).get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_FORM_BYTES:
            raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        return dict(
            parse_qsl(
                body.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
            )
        )
    except ValueError:
        raise HTTPException(HTTPStatus.BAD_REQUEST) from None


def _read_next(text: str | None) -> str:
    """Return where to go on: a path of ours, or the overview."""
    is_ours = (
        text is not None
        and len(text) <= _MAX_NEXT
        and text.startswith("/")
        and not text.startswith(("//", LOGIN_PATH, "/logout"))
        # A browser takes a backslash for a slash, and leaves out tabs and line ends.
        and all("!" <= character <= "~" and character != "\\" for character in text)
    )
    return text if is_ours and text is not None else "/"


def _find_network(address: str) -> str:
    """Return what counts as one client: an address, or the /64 of one of IPv6."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64)
    return str(parsed)


def _hash(cookie: str) -> bytes:
    return hashlib.blake2b(cookie.encode("utf-8", "surrogatepass"), digest_size=32).digest()
