"""What policy knows of a session after AUTH."""

from msys_track.dispatch.session import PolicySession
from msys_track.errors import PolicyFailedError
from msys_track.options.scopes import Scopes
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, OnFailed, Rejection, Transaction
from msys_track.smtp.reply import Reply


class _Policy:
    """Refuses one user, after it has set a variable."""

    hooks = frozenset({Hook.AUTH})

    def __init__(self) -> None:
        self.seen: list[tuple[str | None, str | None]] = []

    def call(self, hook: Hook, transaction: Transaction, _on_failed: OnFailed) -> Rejection | None:
        assert hook is Hook.AUTH
        connection = transaction.contexts.connection
        self.seen.append((transaction.user, connection.get("subaccount_id")))
        connection.set("set_by", "policy")
        if transaction.user == "mallory":
            return Rejection(code=535, text="5.7.8 Not today")
        return None


def make_session() -> PolicySession:
    return PolicySession(Scopes(), peer="127.0.0.1:1", listen="127.0.0.1:25")


def test_policy_sees_the_user_and_what_the_login_says() -> None:
    policy, session = _Policy(), make_session()
    guard = Guard(policy, "refuse")
    assert session.authenticate(guard, "shop", {"subaccount_id": "7"}) is None
    assert policy.seen == [("shop", "7")]
    transaction = session.transaction()
    assert transaction.user == "shop"
    assert transaction.contexts.lookup("subaccount_id") == "7"
    assert transaction.contexts.lookup("set_by") == "policy"


def test_a_refused_user_leaves_no_trace() -> None:
    session = make_session()
    refusal = session.authenticate(Guard(_Policy(), "refuse"), "mallory", {"subaccount_id": "7"})
    assert refusal == Reply(535, "5.7.8 Not today")
    transaction = session.transaction()
    assert transaction.user is None
    assert transaction.contexts.connection.items() == {}


def test_a_login_ends_with_its_connection_not_with_its_message() -> None:
    session = make_session()
    assert session.authenticate(None, "shop", {"subaccount_id": "7"}) is None
    session.begin_message()
    transaction = session.transaction()
    assert (transaction.user, transaction.contexts.lookup("subaccount_id")) == ("shop", "7")


class _Broken(_Policy):
    def call(self, hook: Hook, transaction: Transaction, on_failed: OnFailed) -> Rejection | None:
        super().call(hook, transaction, on_failed)
        return on_failed(PolicyFailedError("policy.lua:3: no such table"))


def test_nobody_gets_in_because_a_policy_fails() -> None:
    session = make_session()
    refusal = session.authenticate(Guard(_Broken(), "continue"), "shop", {})
    assert refusal == Reply(451, "4.3.0 Policy failed; try again later")
    assert session.transaction().user is None
