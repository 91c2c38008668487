"""A transaction and a Lua file with one hook, for every test that calls a policy."""

from pathlib import Path
from typing import Any

from msys_track.errors import PolicyFailedError
from msys_track.policy.chain import Verdict
from msys_track.policy.context import Context, Contexts
from msys_track.policy.hooks import Hook, Policy, Rejection, Transaction
from msys_track.policy.lua.host import LuaPolicy

SAMPLES = Path(__file__).parent / "samples"
FILE = Path("/etc/msys/policy.lua")
MESSAGE = b"Subject: Hello\r\nX-Class: password-reset\r\n\r\nBody\r\n"


def transaction(**given: Any) -> Transaction:
    contexts = Contexts(connection=Context(), message=Context())
    ours = {
        "contexts": contexts,
        "peer": "10.0.0.7:51234",
        "listen": "127.0.0.1:2525",
        "helo": "app.shop.example",
        "sender": "news@shop.example",
        "recipients": ("jo@example.org",),
        "recipient": "jo@example.org",
        "message": MESSAGE,
    }
    return Transaction(**{**ours, **given})


def lua(body: str, *, hook: str = "validate_data_spool_each_rcpt", **limits: Any) -> LuaPolicy:
    """Make a policy with one hook, whose `body` is line 4, and time for a slow machine."""
    arguments = {
        "validate_connect": "accept, vctx",
        "validate_ehlo": "str, accept, vctx",
        "validate_auth": "str, accept, vctx",
        "validate_mailfrom": "str, accept, vctx",
        "validate_rcptto": "msg, str, accept, vctx",
    }.get(hook, "msg, accept, vctx")
    source = f"""local mod, M, C = {{}}, msys.core.ECMESS_CTX_MESS, msys.core.ECMESS_CTX_CONN

function mod:{hook}({arguments})
do {body} end
return msys.core.VALIDATE_CONT
end
msys.registerModule("policy", mod)
"""
    return LuaPolicy(FILE, source.encode(), **{"timeout_seconds": 60, **limits})


def call(policy: Policy, hook: Hook, given: Transaction) -> Rejection | None:
    """Ask a policy of which no file should fail."""

    def fail(failure: PolicyFailedError) -> None:
        raise failure

    return policy.call(hook, given, fail)


def ask(body: str, given: Transaction | None = None, **limits: Any) -> Verdict:
    """Run `body` once at the last hook."""
    return lua(body, **limits).ask(Hook.EACH_RCPT, given or transaction())


def set_by(body: str, given: Transaction | None = None, **limits: Any) -> dict[str, str]:
    """Give the message's variables after `body`."""
    given = given or transaction()
    ask(body, given, **limits)
    return dict(given.contexts.message.items())
