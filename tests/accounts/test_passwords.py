"""Hashes of passwords: their form, their cost, and what a file may not ask for."""

import pytest

from msys_track.accounts.passwords import Cost, PasswordHash

CHEAP = Cost(log_n=10, block_size=1, parallelism=1)


def test_a_hash_fits_its_password_alone() -> None:
    made = PasswordHash.make("correct horse", cost=CHEAP)
    assert made.verify("correct horse")
    assert not made.verify("correct horsf")


def test_two_hashes_of_one_password_differ() -> None:
    assert PasswordHash.make("same", cost=CHEAP) != PasswordHash.make("same", cost=CHEAP)


def test_a_hash_is_written_and_read_as_a_phc_string() -> None:
    made = PasswordHash.make("correct horse", cost=CHEAP)
    assert str(made).startswith("$scrypt$ln=10,r=1,p=1$")
    assert PasswordHash.parse(str(made)) == made


def test_the_hash_of_rfc_7914_is_read() -> None:
    # Section 12: "pleaseletmein", "SodiumChloride", N 16384, r 8, p 1: the first half.
    text = "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI"
    assert PasswordHash.parse(text).verify("pleaseletmein")


def test_the_default_cost_takes_32_mebibytes_at_least() -> None:
    assert Cost().memory_bytes >= 32 * 1024 * 1024


def test_a_hash_does_not_show_itself() -> None:
    made = PasswordHash.make("correct horse", cost=CHEAP)
    assert repr(made) == f"PasswordHash(cost={CHEAP!r})"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "correct horse",
        "$2b$12$abcdefghijklmnopqrstuv",
        "$scrypt$ln=30,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI",
        "$scrypt$ln=17,r=99,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI",
        "$scrypt$ln=1,r=8,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI",
        "$scrypt$ln=14,r=0,p=1$U29kaXVtQ2hsb3JpZGU$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI",
        "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb3JpZGU$short",
        "$scrypt$ln=14,r=8,p=1$!$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI",
        "$scrypt$ln=14,r=8,p=1$U29kaXVtQ2hsb$cCO9yzr9c0hGHAbNgf046/2o+7qQT44+qbVD9lRdofI",
    ],
)
def test_what_is_no_hash_or_costs_too_much_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"scrypt|cost|base64"):
        PasswordHash.parse(text)
