import pytest
from hypothesis import given
from hypothesis import strategies as st

from msys_track.policy.context import (
    MAX_NAME,
    MAX_OCTETS,
    MAX_VALUE,
    MAX_VARIABLES,
    Context,
    Contexts,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = st.sampled_from(["a", "b", "smtpapi_tags", "é"])


def test_the_message_is_looked_up_before_the_connection() -> None:
    contexts = Contexts(connection=Context({"a": "1", "b": "2"}), message=Context({"a": ""}))
    assert contexts.lookup("a") == ""
    assert contexts.lookup("b") == "2"
    assert contexts.lookup("c") is None


def test_recipients_share_the_connection_and_not_the_message() -> None:
    contexts = Contexts(connection=Context(), message=Context({"a": "1"}))
    jo = contexts.for_recipient()
    jo.message.set("a", "2")
    jo.connection.set("seen", "yes")
    assert contexts.message.get("a") == "1"
    assert contexts.connection.get("seen") == "yes"


def test_a_view_of_the_variables_can_not_change_them() -> None:
    with pytest.raises(TypeError):
        Context({"a": "1"}).items()["a"] = "2"  # type: ignore[index]


@pytest.mark.parametrize(
    ("name", "value", "error", "text"),
    [
        ("smtpapi_opens", True, TypeError, "smtpapi_opens: values are strings, found bool"),
        ("smtpapi_metadata", {}, TypeError, "smtpapi_metadata: values are strings, found dict"),
        (7, "1", TypeError, "name must be a string, found int"),
        ("", "1", ValueError, "1 to 255 bytes"),
        ("n" * (MAX_NAME + 1), "1", ValueError, "1 to 255 bytes"),
        ("a", "x" * (MAX_VALUE + 1), ValueError, "a: 65537 bytes, at most 65536"),
        ("a", "é" * (MAX_VALUE // 2 + 1), ValueError, "a: 65538 bytes"),
        ("a", "\ud800", ValueError, "^a: half of a surrogate pair is not text"),
        ("\ud800", "1", ValueError, "^a variable's name: half of a surrogate pair is"),
    ],
)
def test_what_a_context_can_not_hold_is_refused_by_name(
    name: str, value: str, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        Context().set(name, value)


def test_a_context_holds_a_thousand_variables_and_no_more() -> None:
    context = Context({str(number): "" for number in range(MAX_VARIABLES)})
    context.set("7", "again")
    with pytest.raises(ValueError, match="new: one context holds at most 1000 variables"):
        context.set("new", "")


def test_a_context_is_bounded_in_bytes_and_deleting_makes_room() -> None:
    full = MAX_OCTETS // (MAX_VALUE + 2)
    context = Context({f"{number:02}": "x" * MAX_VALUE for number in range(full)})
    with pytest.raises(ValueError, match="at most 1048576 bytes"):
        context.set("more", "x" * MAX_VALUE)
    context.delete("03")
    context.set("mo", "x" * MAX_VALUE)


@given(st.lists(st.tuples(st.sampled_from(["set", "delete"]), NAMES, TEXT)))
def test_a_context_behaves_as_a_dictionary(steps: list[tuple[str, str, str]]) -> None:
    context, model = Context(), dict[str, str]()
    for step, name, value in steps:
        if step == "set":
            context.set(name, value)
            model[name] = value
        else:
            context.delete(name)
            model.pop(name, None)
    assert context.items() == model
    for name in ("a", "é"):
        assert (context.get(name), context.exists(name)) == (model.get(name), name in model)
    octets = sum(len(text.encode()) for pair in model.items() for text in pair)
    assert context._octets == octets  # noqa: SLF001 - what the bound is reckoned from
    assert context.save() == (model, octets)


def test_restoring_undoes_what_others_see_too() -> None:
    context = Context({"a": "1"})
    before = context.save()
    context.set("b", "2")
    context.restore(before)
    assert context.items() == {"a": "1"}
    context.set("c", "3")
    context.restore(before)
    assert context.items() == {"a": "1"}
