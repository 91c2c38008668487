"""Upstreams that the proxy's clients log in to as themselves.

A connection that is authenticated as one user must never carry another's mail. So each user has
connections of their own, and nothing has to remember whose a connection is.
"""

import asyncio
import hashlib
import secrets
from collections.abc import Mapping
from typing import Final

from msys_track.errors import UpstreamError
from msys_track.metrics import Counters
from msys_track.relay.connection import ConnectionFailedError
from msys_track.relay.deadlines import Deadlines
from msys_track.relay.identity import Identity, RoutingLoopError
from msys_track.relay.lending import LOOP
from msys_track.relay.opening import LoginRefusedError, Opener
from msys_track.relay.routes import make_next_hop
from msys_track.relay.settings import UpstreamSettings
from msys_track.relay.upstream import NextHop
from msys_track.smtp.auth import Credentials

# A password that the upstream takes no longer lets nobody in after this time.
_VERIFIED_SECONDS: Final = 60.0


class Login:
    """A user whom the upstream knows.

    Attributes:
        user: The user's name.
        next_hop: Relays as this user, and nobody else does over its connections.
        verified_at: When the upstream last took the password, by the loop's clock.
        sessions: How many of the proxy's sessions use it.
        ending: Set while no session does.
    """

    __slots__ = ("ending", "next_hop", "sessions", "user", "verified_at")

    def __init__(self, user: str, next_hop: NextHop) -> None:
        self.user = user
        self.next_hop = next_hop
        self.verified_at = 0.0
        self.sessions = 0
        self.ending: asyncio.TimerHandle | None = None


class UserUpstreams:
    """Logs users in at the upstreams; use it within one event loop.

    What the settings say of connections holds for each user.
    """

    def __init__(
        self,
        settings: Mapping[str, UpstreamSettings],
        counters: Counters,
        identity: Identity | None = None,
    ) -> None:
        """Prepare it; nothing is opened yet. `identity` is the proxy's."""
        self._settings = settings
        self._counters = counters
        self._identity = identity or Identity(counters)
        self._logins: dict[bytes, Login] = {}
        self._closing: set[asyncio.Task[None]] = set()
        # Of a password only this hash is kept, beside the connections that need itself.
        self._key = secrets.token_bytes(32)

    async def log_in(self, user: str, password: str) -> Login:
        """Ask the upstream whether it knows this user, unless it said so a moment ago.

        Give the login back with `leave` when the session ends.

        Raises:
            UpstreamError: what the upstream said of user and password, most often 535; 454 if it
                can't be asked.
        """
        loop = asyncio.get_running_loop()
        mark = self._make_mark(user, password)
        known = self._logins.get(mark)
        if known is None or not _is_fresh(known):
            credentials = Credentials(user=user, password=password)
            await self._verify(credentials)
            known = self._logins.get(mark)  # another session may have come first
            if known is None:
                hop = make_next_hop(
                    self._settings,
                    self._counters,
                    credentials=credentials,
                    identity=self._identity,
                )
                known = self._logins[mark] = Login(user, hop)
            known.verified_at = loop.time()
        known.sessions += 1
        if known.ending is not None:
            known.ending.cancel()
            known.ending = None
        return known

    def is_verified(self, user: str, password: str) -> bool:
        """Whether the upstream took this pair a moment ago, so that it is not asked again."""
        known = self._logins.get(self._make_mark(user, password))
        return known is not None and _is_fresh(known)

    def leave(self, login: Login) -> None:
        """Note that a session has ended; the user's connections stay a while for the next one."""
        login.sessions -= 1
        if login.sessions == 0:
            loop = asyncio.get_running_loop()
            login.ending = loop.call_later(_VERIFIED_SECONDS, self._forget, login)

    async def close(self) -> None:
        """Close all connections."""
        for login in tuple(self._logins.values()):
            self._forget(login)
        await asyncio.gather(*self._closing)

    def _make_mark(self, user: str, password: str) -> bytes:
        pair = f"{user}\0{password}".encode()
        return hashlib.blake2b(pair, key=self._key, digest_size=32).digest()

    async def _verify(self, credentials: Credentials) -> None:
        """Log in on a connection that carries no mail."""
        why = "no upstream"
        for settings in sorted(self._settings.values(), key=lambda each: each.priority):
            try:
                opener = Opener(settings, credentials, self._identity)
                connection = await opener.open(Deadlines(), _ignore)
            except LoginRefusedError as refused:
                raise refused.reply.refusal("AUTH") from None
            except ConnectionFailedError as failure:
                if isinstance(failure, RoutingLoopError) and len(self._settings) == 1:
                    raise UpstreamError(554, f"5{LOOP}") from None
                why = str(failure)
            else:
                connection.quit()
                return
        raise UpstreamError(454, f"4.7.0 The upstream can't be asked: {why}", outcome="not_sent")

    def _forget(self, login: Login) -> None:
        self._logins = {mark: each for mark, each in self._logins.items() if each is not login}
        if login.ending is not None:
            login.ending.cancel()
        task = asyncio.get_running_loop().create_task(login.next_hop.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _is_fresh(login: Login) -> bool:
    return asyncio.get_running_loop().time() - login.verified_at < _VERIFIED_SECONDS


def _ignore(_: object) -> None:
    """Do nothing when a connection ends that is not kept."""
