"""Policies in the shapes of those that are published for Momentum, loaded and called unchanged."""

from dataclasses import dataclass
from typing import Any

import pytest
from tests.captured_logs import capture_logs
from tests.policy.policies import SAMPLES, transaction

from msys_track.policy.changes import Changes, HeaderChange
from msys_track.policy.context import Context, Contexts
from msys_track.policy.guard import Guard
from msys_track.policy.hooks import Hook, Rejection
from msys_track.policy.loading import PolicySettings, load_policy

FOLDER = SAMPLES / "momentum"
NAMES = sorted(path.stem for path in FOLDER.glob("*.lua"))
BEFORE_RCPT = (Hook.CONNECT, Hook.EHLO, Hook.AUTH, Hook.MAILFROM)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What policy made of one mail to one recipient."""

    refusal: Rejection | None
    message: dict[str, str]
    connection: dict[str, str]
    changes: Changes
    lines: list[dict[str, Any]]

    @property
    def fields(self) -> list[tuple[str, str | None, str]]:
        return [(each.name, each.value, each.how) for each in self.changes.headers]

    @property
    def said(self) -> list[str]:
        return [line["text"] for line in self.lines if line["event"] == "policy.said"]

    @property
    def failures(self) -> list[str]:
        return [line["why"] for line in self.lines if line["event"] == "policy.failed"]


def load(*names: str) -> Guard:
    policy = load_policy(PolicySettings(files=tuple(FOLDER / f"{name}.lua" for name in names)))
    assert policy is not None
    return Guard(policy)


def send(
    policy: Guard, header: bytes = b"Subject: Hello", *, body: bytes = b"Body", **given: Any
) -> Sent:
    """Ask at every hook, in order, until one refuses."""
    message = header + b"\r\n\r\n" + body + b"\r\n"
    recipient = given.pop("recipient", "jo@example.org")
    variables = given.pop("variables", {})
    contexts = Contexts(connection=Context(variables), message=Context(variables))
    changes, refusal = Changes(), None
    with capture_logs() as lines:
        for hook in Hook:
            if hook is Hook.EACH_RCPT:
                contexts, changes = contexts.for_recipient(), changes.for_recipient()
            subject = transaction(
                **{"user": "app", **given},
                contexts=contexts,
                changes=changes,
                recipients=() if hook in BEFORE_RCPT else (recipient,),
                recipient=recipient if hook in (Hook.RCPTTO, Hook.EACH_RCPT) else None,
                message=message if hook in (Hook.DATA_SPOOL, Hook.EACH_RCPT) else None,
            )
            refusal = refusal or policy.call(hook, subject)
    return Sent(
        refusal=refusal,
        message=dict(contexts.message.items()),
        connection=dict(contexts.connection.items()),
        changes=changes,
        lines=list(lines),
    )


@pytest.mark.parametrize("name", sorted({*NAMES} - {"defect", "suppression"}))
def test_an_ordinary_mail_passes_without_a_failure(name: str) -> None:
    sent = send(load(name), b"Subject: Hello\r\nFrom: Shop <news@shop.example>")
    assert (sent.refusal, sent.failures) == (None, [])


# Header fields


def test_a_field_is_added_where_it_is_missing() -> None:
    policy = load("field_added")
    assert send(policy).fields == [
        ("X-Class", "other", "replace"),
        ("X-Note", "no class given", "append"),
        ("X-Note", "set by policy", "append"),
    ]
    assert send(policy, b"X-Class: invoice").fields == []


def test_a_field_is_replaced_and_its_variables_set() -> None:
    sent = send(load("field_replaced"), sender="news@test.shop.example")
    assert sent.fields == [("Subject", "[Prüfung] Hello", "replace")]
    assert sent.message == {"smtpapi_open_tracking": "0"}


def test_a_field_is_read_into_a_variable_and_deleted() -> None:
    sent = send(load("field_deleted"), b"X-Pool: fast")
    assert sent.changes.headers == [HeaderChange("X-Pool", None)]
    assert sent.message == {"pool": "fast"}


def test_a_field_is_written_above_all_others() -> None:
    sent = send(load("field_prepended"), id="m1", connection_id="c1")
    assert sent.fields == [("X-Came", "from 10.0.0.7 to 2525", "prepend")]
    assert sent.said == ["message m1 connection c1"]


def test_each_recipient_gets_a_return_path_and_an_unsubscribe_address() -> None:
    policy = load("unsubscribe")
    sent = send(policy)
    assert sent.changes.sender == "news-jo=example.org@shop.example"
    assert sent.fields == [
        (
            "List-Unsubscribe",
            "<mailto:leave-jo=example.org@leave.shop.example?subject=Leave>",
            "replace",
        )
    ]
    assert send(policy, b"List-Unsubscribe: <https://shop.example/leave>").fields == []


# Patterns


def test_groups_of_a_pattern_are_found_by_name_and_by_number() -> None:
    policy = load("pcre_match")
    assert send(policy, sender="promo+spring@shop.example").message == {
        "smtpapi_campaign_id": "spring",
        "smtpapi_tags": '["promo", "shop.example"]',
    }
    assert send(policy).message == {}


def test_a_text_is_split_by_a_pattern() -> None:
    policy = load("pcre_split")
    gone = send(policy, b"Message-ID: <1@left.example>")
    assert gone.changes.is_discarded
    assert gone.changes.discard_reason == "550 5.7.0 discarded: its sender has left"
    assert not send(policy, b"Message-ID: <1@shop.example>").changes.is_discarded


def test_matches_of_a_pattern_are_replaced() -> None:
    policy = load("pcre_replace")
    sent = send(policy, b"Subject: [Shop] Spring sale")
    assert sent.message == {"smtpapi_campaign_id": "sale-spring"}
    assert send(policy, b"Subject: RE: order").message == {}


@pytest.mark.parametrize(
    ("answer", "refusal"),
    [
        (b"451 4.7.1 try later", Rejection(code=451, text="4.7.1 try later")),
        (b"mailbox full", Rejection(code=550, text="mailbox full")),
    ],
)
def test_a_sink_answers_what_the_mail_asks_for(answer: bytes, refusal: Rejection) -> None:
    sent = send(load("sinkhole"), b"X-Answer: " + answer)
    assert (sent.refusal, sent.failures) == (refusal, [])


def test_a_sink_that_returns_nothing_is_warned_of_once() -> None:
    policy = load("sinkhole")
    events = [line["event"] for _ in range(3) for line in send(policy).lines]
    assert events.count("policy.returned_nothing") == 1


# Who may send


def test_a_variable_of_an_earlier_script_decides() -> None:
    refused = send(load("spf"), variables={"spf_status": "fail"})
    assert refused.refusal == Rejection(code=550, text="5.7.23 SPF says no")


def test_one_sender_s_session_ends() -> None:
    sent = send(load("disconnect"), sender="gone@shop.example")
    assert sent.refusal == Rejection(code=421, text="4.7.0 Closing")
    assert sent.said == ["Disconnecting MAIL FROM:<gone@shop.example>"]


def test_macros_name_the_client_and_the_commands() -> None:
    policy = load("macros")
    sent = send(policy)
    assert sent.said == ["From 10.0.0.7 received EHLO app.shop.example"]
    assert sent.refusal is None
    assert send(policy, recipient="kim@other.example").refusal == Rejection(
        code=550, text="5.7.1 RCPT TO:<kim@other.example> is not for you"
    )


def test_who_may_not_relay_is_refused() -> None:
    policy = load("relays")
    assert send(policy, variables={"can_relay": "false"}).refusal == Rejection(
        code=553, text="5.7.1 Not today"
    )
    assert send(policy, can_relay=True).connection == {"mo_customer_id": "3"}


def test_a_mail_that_is_too_large_is_refused() -> None:
    sent = send(load("size"), body=b"x" * 3000)
    assert sent.refusal == Rejection(
        code=552, text="5.3.4 Message size exceeds fixed maximum message size"
    )


# Modules and Lua 5.1


def test_a_policy_is_kept_in_modules_that_see_each_other() -> None:
    policy = load("modular")
    assert send(policy, sender="a@stranger.example").refusal == Rejection(
        code=554, text="5.7.1 Not a domain of ours"
    )
    assert send(policy, body=b"x" * 3000).refusal == Rejection(
        code=552, text="5.3.4 Message too large, at most 2000 bytes"
    )
    assert send(policy).connection == {"started": "1"}


def test_rules_are_a_text_that_is_read_with_its_own_words() -> None:
    policy = load("rules")
    assert send(policy, b"X-Class: newsletter").message == {"smtpapi_click_tracking": "1"}
    assert send(policy, b"X-Class: invoice").message == {"smtpapi_click_tracking": "0"}
    assert send(policy, b"X-Class: other").message == {}


def test_the_library_and_numbers_are_those_of_lua_5_1() -> None:
    assert send(load("old_library")).message == {
        "seen": "click=0 open=1",
        "smtpapi_tracking_link_expiry": "15768000",
        "half": "n=5",
        "length": "2/7",
        "arguments": "3",
        "words": "2",
    }


# Tracking


def test_only_mail_whose_author_and_envelope_agree_is_tracked() -> None:
    policy = load("aligned")
    ours = send(policy, b"From: Shop <news@SHOP.example>").message
    other = send(policy, b"From: Shop <news@other.example>").message
    assert ours == {"smtpapi_open_tracking": "1", "smtpapi_click_tracking": "1"}
    assert other == {"smtpapi_open_tracking": "0", "smtpapi_click_tracking": "0"}


def test_every_third_mail_is_tracked() -> None:
    policy = load("sampling")
    tracked = ["smtpapi_open_tracking" not in send(policy).message for _ in range(6)]
    assert tracked == [False, False, True, False, False, True]


def test_metadata_decides_the_pool() -> None:
    policy = load("rest_metadata")
    given = {"mo_rcpt_meta": '{"pool": "fast"}'}
    assert send(policy, variables=given).message["binding_group"] == "fast"
    assert send(policy, b"X-Pool: slow").message == {"binding_group": "slow"}


def test_the_pathway_is_that_of_the_network() -> None:
    policy = load("pathway")
    assert send(policy).message == {"pathway": "inner"}
    assert send(policy, peer="192.0.2.1:1").message == {}


# The envelope


def test_an_archive_gets_a_copy() -> None:
    policy = load("copies")
    sent = send(policy, recipient="desk@shop.example")
    assert sent.changes.added_recipients == ["archive@shop.example"]
    assert sent.said[0] == "Added the archive"
    assert "archive@shop.example" in sent.said[1]
    assert send(policy).changes.added_recipients == []


def test_a_recipient_who_has_moved_gets_the_mail_there() -> None:
    policy = load("moved")
    sent = send(policy)
    assert sent.changes.recipient == "jo@new.example"
    assert sent.message == {"moved_from": "jo@example.org"}
    assert send(policy, recipient="lee@example.org").changes.recipient is None


def test_a_recipient_of_a_test_domain_is_taken_and_dropped() -> None:
    sent = send(load("dropped_recipient"), recipient="jo@dropped.example")
    assert sent.refusal is None
    assert sent.changes.is_discarded
    assert not send(load("dropped_recipient")).changes.is_discarded


def test_mail_of_a_robot_is_discarded() -> None:
    sent = send(load("discard"), sender="robot@shop.example")
    assert sent.refusal is None
    assert sent.changes.is_discarded
    assert sent.changes.discard_reason == "550 5.7.0 discarded: a robot's"


# What has no effect here


def test_routes_and_bindings_are_passed_over_with_one_notice_a_function() -> None:
    policy = load("routing")
    notices = [
        line
        for _ in range(3)
        for line in send(policy, recipient="jo@partner.example").lines
        if line["event"] == "policy.notice"
    ]
    assert len(notices) == 1
    assert "msg:routing_domain" in str(notices[0])
    assert send(policy, recipient="jo@partner.example").message == {
        "SMART_HOST": "TRUE",
        "smtpapi_click_tracking": "0",
    }


def test_costs_of_time_and_words_of_ehlo_are_passed_over() -> None:
    sent = send(load("slow_down"))
    notices = [line for line in sent.lines if line["event"] == "policy.notice"]
    assert len(notices) == 2
    assert sent.connection == {"slowed": "1"}


@pytest.mark.parametrize("name", ["binding", "delivery_log", "inbound/sizes", "web"])
def test_a_file_whose_hooks_are_never_called_starts_with_a_notice(name: str) -> None:
    with capture_logs() as lines:
        policy = load(name)
    assert policy.hooks == frozenset()
    assert {line["event"] for line in lines} == {"policy.notice"}


def test_what_a_late_phase_would_call_is_no_fault_before() -> None:
    assert send(load("signing"), b"X-Sign: shop.example").message == {"sign": "shop.example"}


def test_each_phase_is_called_in_order_with_its_arguments() -> None:
    assert send(load("all_phases")).said == [
        "PHASE: validate_connect 3 arguments",
        "PHASE: validate_ehlo 4 arguments",
        "PHASE: validate_auth 4 arguments",
        "PHASE: validate_mailfrom 4 arguments",
        "PHASE: validate_rcptto 5 arguments",
        "PHASE: validate_data 4 arguments",
        "PHASE: validate_data_spool 4 arguments",
        "PHASE: validate_data_spool_each_rcpt 4 arguments",
    ]


# What is absent, and failures


def test_work_in_a_pool_is_done_at_once_and_its_failure_is_a_value() -> None:
    sent = send(load("threadpool"))
    assert sent.message == {"subject_length": "5"}
    assert sent.said[:3] == ["logged in a pool", "worked", "completed"]
    assert "no such table" in sent.said[3]


def test_a_lookup_that_is_not_here_fails_inside_its_pool_alone() -> None:
    assert send(load("domains")).message == {}


def test_a_database_that_is_not_here_is_named_with_file_and_line() -> None:
    sent = send(load("suppression"))
    path = FOLDER / "suppression.lua"
    assert sent.failures == [f"{path}:9: validate_rcptto: msys.db.query is not available here"]
    assert (sent.refusal, sent.message) == (None, {})


@pytest.mark.parametrize("names", [("defect", "field_deleted"), ("field_deleted", "defect")])
def test_a_file_that_fails_spoils_no_other_file_s_changes(names: tuple[str, ...]) -> None:
    # field_deleted ends the chain, so after it the file that fails is not called at all.
    sent = send(load(*names), b"X-Pool: fast")
    assert sent.changes.headers == [HeaderChange("X-Pool", None)]
    assert sent.message == {"pool": "fast"}
    assert len(sent.failures) == (names[0] == "defect")


@pytest.mark.parametrize("names", [("defect", "unsubscribe"), ("unsubscribe", "defect")])
def test_header_changes_and_the_envelope_hold_in_both_orders(names: tuple[str, ...]) -> None:
    sent = send(load(*names))
    assert [name for name, _, _ in sent.fields] == ["List-Unsubscribe"]
    assert sent.changes.sender == "news-jo=example.org@shop.example"
    assert "smtpapi_click_tracking" not in sent.message
    assert len(sent.failures) == 1


def test_a_message_that_a_script_makes_fails_only_where_it_is_sent() -> None:
    policy = load("new_message")
    assert send(policy).failures == []
    path = FOLDER / "new_message.lua"
    name = "msys.core.ec_message_new():build"
    assert send(policy, recipient="notify@shop.example").failures == [
        f"{path}:14: validate_rcptto: {name} is not available here"
    ]


def test_mail_comes_by_esmtp_and_by_no_other_protocol() -> None:
    assert send(load("protocols")).message == {"came_by": "esmtp"}


def test_the_policy_editor_s_functions_are_there() -> None:
    assert send(load("editor")).message == {"brand": "shop.example"}


# What a session keeps


def test_a_variable_that_was_deleted_is_gone() -> None:
    assert send(load("remembers")).message == {"deleted": "100", "recipients": "1"}


def test_what_a_session_keeps_in_self_is_its_own() -> None:
    policy = load("wipes")
    first, second = (
        Contexts(connection=Context(), message=Context()),
        Contexts(connection=Context(), message=Context()),
    )
    for name, contexts in (("a", first), ("b", second), ("a", first)):
        policy.call(Hook.RCPTTO, transaction(contexts=contexts, connection_id=name))
    assert first.connection.get("recipients") == "2"
    assert second.connection.get("recipients") == "1"
    assert send(policy).connection == {"recipients": "1"}
