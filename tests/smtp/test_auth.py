"""AUTH without sockets: what each mechanism takes, refuses and writes."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.smtp.auth import (
    MAX_CREDENTIAL_BYTES,
    MAX_LINE_BYTES,
    AuthCancelledError,
    AuthSyntaxError,
    Credentials,
    LoginMechanism,
    PlainMechanism,
    choose_mechanism,
    prepare_password,
    start_mechanism,
    write_login_responses,
    write_plain_response,
)

TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1
).filter(lambda text: len(text.encode()) <= MAX_CREDENTIAL_BYTES)
TIM = Credentials(user="tim", password="tanstaaftanstaaf")  # noqa: S106 - RFC 4616 section 4


def encode(text: bytes) -> bytes:
    return base64.b64encode(text)


def test_plain_reads_the_example_of_rfc_4616() -> None:
    assert PlainMechanism().respond(encode(b"\0tim\0tanstaaftanstaaf")) == TIM


def test_plain_asks_with_an_empty_challenge_if_the_command_has_no_response() -> None:
    mechanism = PlainMechanism()
    assert mechanism.respond(None) == b""
    assert mechanism.respond(encode(b"\0tim\0tanstaaftanstaaf")) == TIM


def test_plain_takes_an_identity_that_is_the_user() -> None:
    assert PlainMechanism().respond(encode(b"tim\0tim\0tanstaaftanstaaf")) == TIM


def test_login_asks_for_the_user_and_then_for_the_password() -> None:
    mechanism = LoginMechanism()
    assert mechanism.respond(None) == encode(b"Username:")
    assert mechanism.respond(encode(b"tim")) == encode(b"Password:")
    assert mechanism.respond(encode(b"tanstaaftanstaaf")) == TIM


def test_login_takes_the_user_from_the_command() -> None:
    mechanism = LoginMechanism()
    assert mechanism.respond(encode(b"tim")) == encode(b"Password:")
    assert mechanism.respond(encode(b"tanstaaftanstaaf")) == TIM


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"not base64!", "not base64"),
        (b"dGlt\xff", "not base64"),
        (b"dGl", "not base64"),
        (b" " + encode(b"\0tim\0secret"), "not base64"),
        (b"=", "three parts"),
        (encode(b"tim\0secret"), "three parts"),
        (encode(b"\0tim\0sec\0ret"), "three parts"),
        (encode(b"\0\0secret"), "empty"),
        (encode(b"\0tim\0"), "empty"),
        (encode(b"\0t\xffm\0secret"), "not UTF-8"),
        (encode(b"root\0tim\0secret"), "authorization identity"),
        (encode(b"\0" + b"u" * (MAX_CREDENTIAL_BYTES + 1) + b"\0secret"), "longer than 1024"),
        (encode(b"\0tim\0" + b"p" * (MAX_CREDENTIAL_BYTES + 1)), "longer than 1024"),
        (encode(b"\0" * 100_000), "longer than 12288"),
        (b"A" * (MAX_LINE_BYTES + 4), "longer than 12288"),
    ],
)
def test_plain_refuses_what_is_not_its_response(line: bytes, why: str) -> None:
    with pytest.raises(AuthSyntaxError, match=why):
        PlainMechanism().respond(line)


@pytest.mark.parametrize("line", [encode(b"ti\0m"), encode(b"t\xffm"), b"=", b"not base64!"])
def test_login_refuses_a_user_that_no_user_can_have(line: bytes) -> None:
    mechanism = LoginMechanism()
    with pytest.raises(AuthSyntaxError):
        (mechanism.respond(line), mechanism.respond(encode(b"secret")))


@pytest.mark.parametrize("name", ["PLAIN", "LOGIN"])
def test_a_star_cancels_each_mechanism(name: str) -> None:
    mechanism = start_mechanism(name)
    assert mechanism is not None
    mechanism.respond(None)
    with pytest.raises(AuthCancelledError):
        mechanism.respond(b"*")


def test_the_name_of_a_mechanism_is_read_without_regard_to_case() -> None:
    assert isinstance(start_mechanism("plain"), PlainMechanism)
    assert isinstance(start_mechanism("Login"), LoginMechanism)
    assert start_mechanism("CRAM-MD5") is None


def test_plain_is_chosen_before_login_and_nothing_else_is() -> None:
    assert choose_mechanism(["login", "CRAM-MD5", "plain"]) == "PLAIN"
    assert choose_mechanism(["CRAM-MD5", "LOGIN"]) == "LOGIN"
    assert choose_mechanism(["CRAM-MD5"]) is None


@given(user=TEXTS, password=TEXTS)
def test_the_server_reads_what_the_client_writes(user: str, password: str) -> None:
    credentials = Credentials(user=user, password=password)
    plain = write_plain_response(user, password).encode()
    assert PlainMechanism().respond(plain) == credentials
    first, second = write_login_responses(user, password)
    login = LoginMechanism()
    login.respond(first.encode())
    assert login.respond(second.encode()) == credentials


@pytest.mark.parametrize(("user", "password"), [("a\0b", "secret"), ("tim", "sec\0ret")])
def test_a_nul_can_not_be_written_in_plain(user: str, password: str) -> None:
    with pytest.raises(ValueError, match="NUL"):
        write_plain_response(user, password)


@given(st.binary(max_size=200))
def test_no_line_breaks_a_mechanism(line: bytes) -> None:
    for name in ("PLAIN", "LOGIN"):
        mechanism = start_mechanism(name)
        assert mechanism is not None
        try:
            answer = mechanism.respond(line)
        except (AuthSyntaxError, AuthCancelledError):
            continue
        assert isinstance(answer, bytes | Credentials)


def test_a_password_is_not_shown() -> None:
    assert "tanstaaf" not in repr(TIM)


def test_a_password_is_the_same_however_it_was_composed() -> None:
    assert prepare_password("u\u0308ber\u00a0alles") == "\u00fcber alles"
    assert prepare_password("Ab c") == "Ab c"
