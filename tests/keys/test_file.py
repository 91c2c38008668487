"""Key files: strict, safe to rotate, silent about secrets."""

import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
import tomllib
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.processes import Ended, run
from tests.thoroughness import examples
from tests.tokens import TOKENS, claims_of, key_file, list_fields

from msys_track.errors import InvalidTokenError, KeyRingError
from msys_track.keys import file as keys
from msys_track.keys.file import KeyEntry, NamedSource, key_source
from msys_track.keys.ring import KeyRing

NOW = datetime(2026, 11, 24, 10, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=90)
CLICK = claims_of(TOKENS[1])

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
needs_ordinary_user = pytest.mark.skipif(
    os.geteuid() == 0, reason="root may read and write everything"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a key file can be made."""
    return tmp_path / "keys.toml"


@pytest.fixture
def key_path(path: Path) -> Path:
    """A key file with one key."""
    keys.create(path, now=NOW)
    return path


def assert_refused(source: str | Path, wanted: str, *uses: Callable[[Any], object]) -> None:
    """Loading a source of keys, or each of these uses of it, is refused in these words."""
    for use in uses or (KeyRing.load,):
        with pytest.raises(KeyRingError, match=wanted):
            use(source)


def run_script(
    folder: Path, script: str, *arguments: str | Path, env: Mapping[str, str] | None = None
) -> Ended:
    """Run a script in a process of its own, to its end."""
    return run(folder, "-c", script, *arguments, env=env, command=(sys.executable,))


def secrets_in(path: Path) -> list[str]:
    return re.findall(r'secret = "(.+)"', path.read_text(encoding="utf-8"))


def test_a_new_file_has_one_key_that_seals_and_opens(path: Path) -> None:
    keys.create(path, now=NOW)
    loaded = KeyRing.load(path)
    assert loaded.ids == (1,)
    assert list_fields(loaded.open(loaded.seal(CLICK))) == list_fields(CLICK)
    keys.create(path.with_name("other.toml"))
    assert secrets_in(path) != secrets_in(path.with_name("other.toml"))


def test_a_new_file_can_be_read_by_its_owner_alone_whatever_the_umask(path: Path) -> None:
    before = os.umask(0)
    try:
        keys.create(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_can_be_read_by_a_person_and_by_any_toml_parser(key_path: Path) -> None:
    text = key_path.read_text(encoding="utf-8")
    assert text.startswith("# Keys of msys-track.")
    (table,) = tomllib.loads(text)["key"]
    assert table == {"id": 1, "created": NOW, "secret": secrets_in(key_path)[0]}


def test_a_file_is_never_written_over(key_path: Path) -> None:
    before = key_path.read_bytes()
    assert_refused(key_path, "there is a file already; `msys-track keys rotate", keys.create)
    assert key_path.read_bytes() == before


def test_a_missing_folder_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "keys.toml"
    assert_refused(path, f"{path}: can't be written: No such file or directory", keys.create)


def test_a_missing_file_is_an_error_that_says_how_to_make_one(path: Path) -> None:
    wanted = f"no such key file; `msys-track keys new {path}`"
    assert_refused(path, wanted, KeyRing.load, keys.rotate)
    assert list(path.parent.iterdir()) == []


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    assert_refused(tmp_path, "can't be read: Is a directory")


@needs_ordinary_user
def test_a_file_that_may_not_be_read_is_an_error(key_path: Path) -> None:
    key_path.chmod(0)
    assert_refused(key_path, "can't be read: Permission denied")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o777, 0o440])
def test_a_file_that_others_can_use_is_refused_with_the_command_that_helps(
    key_path: Path, mode: int
) -> None:
    key_path.parent.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(key_path, 4711, -1)
    key_path.chmod(mode)
    wanted = f"users other than its owner can use it (mode {mode:04o}); run `chmod 600 {key_path}`"
    assert_refused(key_path, re.escape(wanted), KeyRing.load, keys.rotate, keys.list_keys)


@pytest.mark.parametrize(
    ("folder_mode", "mode"),
    [
        *product([0o700], [0o600, 0o400, 0o700]),
        *product([0o700, 0o500], [0o444, 0o404]),  # no other user can enter the folder
        *(
            pytest.param(0o755, mode, marks=needs_root)  # root gave it to the group
            for mode in (0o600, 0o640, 0o440, 0o040)
        ),
    ],
)
def test_a_file_that_nobody_reads_against_its_owners_will_is_read(
    key_path: Path, folder_mode: int, mode: int
) -> None:
    key_path.chmod(mode)
    key_path.parent.chmod(folder_mode)
    assert KeyRing.load(key_path).ids == (1,)
    key_path.parent.chmod(0o700)


@pytest.mark.parametrize(
    ("folder_mode", "mode"),
    [
        *product([0o755], [0o660, 0o650, 0o644, 0o444, 0o404, 0o641]),
        *[(0o710, 0o444), (0o701, 0o444), (0o700, 0o644)],
    ],
)
def test_a_folder_with_a_way_in_or_a_file_that_can_be_written_protects_nothing(
    key_path: Path, folder_mode: int, mode: int
) -> None:
    key_path.chmod(mode)
    key_path.parent.chmod(folder_mode)
    assert_refused(key_path, rf"\(mode {mode:04o}\).*mode 0440, owned by root")


@needs_root
def test_a_private_folder_of_somebody_else_protects_nothing(key_path: Path) -> None:
    key_path.chmod(0o444)
    os.chown(key_path.parent, 4711, -1)
    assert_refused(key_path, "users other than its owner can use it")


def mount_keys(folder: Path, *, name: str = "..2026_11_24") -> Path:
    """Keys as Kubernetes mounts a secret: the visible file leads through a folder's link."""
    (folder / name).mkdir()
    keys.create(folder / name / "keys.toml", now=NOW)
    draft = folder / "..data_tmp"
    draft.symlink_to(name)
    draft.replace(folder / "..data")
    visible = folder / "keys.toml"
    if not visible.is_symlink():
        visible.symlink_to("..data/keys.toml")
    return visible


def test_a_mounted_secret_is_read_through_its_links_and_again_when_they_change(
    tmp_path: Path,
) -> None:
    visible = mount_keys(tmp_path)
    link = KeyRing.load(visible).seal(CLICK)
    mount_keys(tmp_path, name="..2026_11_25")
    with pytest.raises(InvalidTokenError):
        KeyRing.load(visible).open(link)


def test_behind_a_link_the_folder_of_the_file_itself_counts(tmp_path: Path) -> None:
    visible = mount_keys(tmp_path)
    behind = visible.resolve()
    behind.chmod(0o444)
    tmp_path.chmod(0o755)
    behind.parent.chmod(0o700)
    assert KeyRing.load(visible).ids == (1,)
    tmp_path.chmod(0o700)
    behind.parent.chmod(0o755)
    assert_refused(visible, re.escape(f"run `chmod 600 {behind}`"))


def test_a_link_to_itself_is_an_error(path: Path) -> None:
    path.symlink_to(path)
    assert_refused(path, "Too many levels of symbolic links", KeyRing.load, keys.rotate)


AS_SERVICE = """
import os, sys
from msys_track.keys.ring import KeyRing
from msys_track.errors import KeyRingError
os.setgroups([])
os.setresgid(4711, 4711, 4711)
os.setresuid(4712, 4712, 4712)
try:
    print(KeyRing.load(sys.argv[1]).ids)
except KeyRingError as error:
    print(error)
"""


@needs_root
@pytest.mark.parametrize(
    ("owner", "mode", "wanted"),
    [
        (0, 0o440, "(1,)"),
        (0, 0o640, "(1,)"),
        (4712, 0o400, "(1,)"),
        (4712, 0o440, "users other than its owner"),
        (4713, 0o440, "users other than its owner"),
        (0, 0o400, "can't be read: Permission denied"),
    ],
)
def test_a_service_reads_its_own_file_and_one_that_root_gave_its_group(
    owner: int, mode: int, wanted: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        file = Path(folder, "keys.toml")
        keys.create(file)
        os.chown(file, owner, 4711)
        file.chmod(mode)
        # That user can't write what a measured run writes at its end.
        unmeasured = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
        done = run_script(Path(folder), AS_SERVICE, file, env=unmeasured)
    assert done.code == 0
    assert wanted in done.output.decode()


def test_keys_are_read_from_an_environment_variable(
    key_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_KEYS", key_path.read_text(encoding="utf-8"))
    link = KeyRing.load(key_path).seal(CLICK)
    assert list_fields(KeyRing.load("env:TRACKING_KEYS").open(link)) == list_fields(CLICK)
    assert keys.list_keys("env:TRACKING_KEYS") == keys.list_keys(key_path)
    line = f'key = [{{ id = 7, created = {DATE}, secret = "{BASE64}" }}]'
    monkeypatch.setenv("TRACKING_KEYS", line)
    assert KeyRing.load("env:TRACKING_KEYS").ids == (7,)


def test_keys_are_read_from_a_credential_of_systemd(
    key_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key_path.parent))
    link = KeyRing.load(key_path).seal(CLICK)
    assert list_fields(KeyRing.load("credential:keys.toml").open(link)) == list_fields(CLICK)
    key_path.parent.chmod(0o755)
    key_path.chmod(0o644)
    assert_refused("credential:keys.toml", r"^credential:keys\.toml: users other than its")


@pytest.mark.parametrize(
    ("source", "folder", "wanted"),
    [
        ("env:NO_KEYS", None, "env:NO_KEYS: there is no such environment variable; set it"),
        ("credential:no", None, "CREDENTIALS_DIRECTORY is not set; .*LoadCredential=no:FILE"),
        ("credential:no", "/", "credential:no: there is no such key file; .*LoadCredential=no:"),
        ("env:", None, "env: not followed by a valid name; give the name of a file, env:NAME or"),
        ("env:1", None, "env: not followed by a valid name"),
        ("env:a=b", None, "env: not followed by a valid name"),
        ("credential:", None, "credential: not followed by a valid name"),
        ("credential:../keys", None, "credential: not followed by a valid name"),
        ("credential:..", "/", "can't be read: Is a directory"),
    ],
)
def test_a_source_without_keys_is_told_with_what_to_do(
    source: str, folder: str | None, wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    if folder is not None:
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", folder)
    assert_refused(source, wanted, KeyRing.load, keys.list_keys)


@pytest.mark.parametrize("source", ["env:TRACKING_KEYS", "credential:keys.toml"])
def test_what_is_no_file_can_not_be_made_or_rotated(
    key_path: Path, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(key_path.parent)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(key_path.parent))
    before = key_path.read_bytes()
    wanted = "only a file can be written; .* the key file that"
    assert_refused(source, wanted, keys.rotate, keys.create)
    assert key_path.read_bytes() == before
    assert list(key_path.parent.iterdir()) == [key_path]


def test_a_path_is_a_file_whatever_it_is_called(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    assert key_source("env:A_1") == NamedSource(kind="env", name="A_1")
    assert key_source("./env:A_1") == Path("env:A_1")
    keys.create(Path("env:A_1"))
    assert KeyRing.load("./env:A_1").ids == (1,)


@pytest.mark.parametrize("content", ["", "x", "\udcff", "[[key]]\nid = 1\n"])
def test_a_variable_without_keys_is_told_as_such(
    content: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRACKING_KEYS", content)
    assert_refused("env:TRACKING_KEYS", "^env:TRACKING_KEYS: ")


BASE64 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
DATE = "2026-11-24T10:00:00Z"


def table(*, number: str = "1", created: str = DATE, base64_text: str = f'"{BASE64}"') -> str:
    return f"[[key]]\nid = {number}\ncreated = {created}\nsecret = {base64_text}\n"


BAD_SECRETS = ["", BASE64[:-4], BASE64[:-1], f"{BASE64} ", f"AAAA{BASE64}", "ü"]
BROKEN = [
    ("", r"has no \[\[key\]\]; remove it, and `msys-track keys new .*` makes a whole file"),
    *[
        (content, r"has no \[\[key\]\]")
        for content in ("# nothing\n", "key = []", "key = 1", "[key]\nid = 1")
    ],
    ("key = [1]", r"key 1: is not a \[\[key\]\] table"),
    ("[[key]]\nid = \n", r"is not TOML; look at line 2, column 6"),
    ("[[key]]\nid = ", r"is not TOML; look at end of document"),
    ("[[key]\n", r"is not TOML; look at line 1"),
    (table() + "[[keys]]\n", r"has something other than \[\[key\]\] tables; take it out"),
    ("version = 1\n" + table(), r"has something other than \[\[key\]\] tables"),
    ("\udcff", r"is not TOML: not UTF-8"),
    (f"x = {'1' * 5_000}\n", r"is not TOML"),
    (f"x = {'[' * 5_000}\n", r"is not TOML"),
    (table().replace("id = 1\n", ""), r"key 1: id is missing; a key has id, created, secret"),
    (table().replace("secret", "secrets"), r"key 1: secret is missing"),
    (table() + "note = 1\n", r"key 1: has more than id, created, secret; take it out"),
    *[
        (table(number=number), r"key 1: id must be a number from 1 to 255")
        for number in ("0", "256", "-1", "1.0", "true", '"1"')
    ],
    *[
        (table(created=created), r"key 1: created must be like 2026-11-24T10:00:00Z")
        for created in ("2026-11-24", "2026-11-24T10:00:00", f'"{DATE}"')
    ],
    *[
        (table(base64_text=secret), r"key 1: secret must be 32 bytes as base64 in quotes")
        for secret in ("32", *map('"{}"'.format, BAD_SECRETS))
    ],
    (table() + table(number="2") + table(number="1"), r"two keys have id 1; each needs its own"),
    (table() + table(number="2", base64_text='""'), r"key 2: secret must be 32 bytes"),
]


@pytest.mark.parametrize(("content", "wanted"), BROKEN)
def test_what_no_key_file_has_is_refused_with_its_place(
    path: Path, content: str, wanted: str
) -> None:
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    path.chmod(0o600)
    wanted = f"^{re.escape(str(path))}:.* {wanted}"
    assert_refused(path, wanted, KeyRing.load, keys.rotate, keys.list_keys)
    assert path.read_bytes() == content.encode("utf-8", "surrogateescape")


@st.composite
def damaged_files(draw: st.DrawFn) -> str:
    """A key file in which something was cut out, put in or exchanged."""
    text = table() + table(number="2", base64_text=f'"{BASE64[::-1].lstrip("=")}="')
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        put = draw(st.sampled_from(["", *"\"'=\n[].#,{a\\"]))
        text = text[:start] + put + text[end:]
    return text


PIECE = 8
PIECES = {
    secret[at : at + PIECE]
    for secret in (BASE64, BASE64[::-1])
    for at in range(len(secret) - PIECE + 1)
}


@contextmanager
def pieces_hidden() -> Iterator[None]:
    """Pass on an error that shows no piece of a secret; fail on one that does."""
    try:
        yield
    except KeyRingError as error:
        # What a log or a terminal could show of it and of those that led to it.
        text = "".join([*traceback.format_exception(error), repr(error), repr(error.__cause__)])
        if any(piece in text for piece in PIECES):
            pytest.fail(f"shows a piece of a secret: {text}")
        raise


@settings(
    max_examples=examples(300),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=damaged_files())
def test_no_error_about_a_file_or_a_variable_shows_a_piece_of_a_secret(
    key_path: Path, content: str
) -> None:
    key_path.write_text(content, encoding="utf-8")
    with suppress(KeyRingError), pieces_hidden():
        KeyRing.load(key_path)
    os.environ["TRACKING_KEYS"] = content
    with suppress(KeyRingError), pieces_hidden():
        KeyRing.load("env:TRACKING_KEYS")
    del os.environ["TRACKING_KEYS"]


@pytest.mark.parametrize(
    "text",
    [
        table(),
        f'key = [{{ id = 1, created = {DATE}, secret = "{BASE64}" }}]',
        f"secret='{BASE64}'",
        f"env:{BASE64}",
    ],
)
def test_keys_in_the_place_of_a_source_are_not_repeated(text: str) -> None:
    with pytest.raises(KeyRingError, match="give the name of a file, env:NAME"), pieces_hidden():
        KeyRing.load(text)


@pytest.mark.parametrize(
    "content",
    [
        f'[[key]]\n"{BASE64}" = 1\n',
        f"[[{BASE64[:-1]}]]\n",
        f"[{BASE64[:-1]}]\n[{BASE64[:-1]}]\n",
        f"{BASE64[:-1]} = 1\n{BASE64[:-1]} = 2\n",
        f"x = {{{BASE64[:-1]} = 1, {BASE64[:-1]} = 2}}\n",
        f'[[key]]\nid = "{BASE64}"\ncreated = {DATE}\nsecret = 1\n',
    ],
)
def test_a_secret_in_the_place_of_something_else_is_not_shown_either(
    key_path: Path, content: str
) -> None:
    key_path.write_text(content, encoding="utf-8")
    with pytest.raises(KeyRingError), pieces_hidden():
        KeyRing.load(key_path)


def test_a_listing_has_numbers_and_dates_and_nothing_else(key_path: Path) -> None:
    keys.rotate(key_path, now=LATER)
    listed = keys.list_keys(key_path)
    assert listed == (KeyEntry(id=2, created=LATER), KeyEntry(id=1, created=NOW))
    assert not any(hasattr(entry, "secret") for entry in listed)
    texts = [entry.created_text for entry in listed]
    assert texts == ["2027-02-22T10:00:00Z", "2026-11-24T10:00:00Z"]
    key_path.unlink()
    keys.create(key_path, now=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=-14))))
    assert keys.list_keys(key_path)[0].created_text == "0001-01-01T00:00:00-14:00"


def test_a_rotated_file_seals_with_the_new_key_and_opens_with_both(key_path: Path) -> None:
    before, first = KeyRing.load(key_path), secrets_in(key_path)
    old_link = before.seal(CLICK)
    assert keys.rotate(key_path, now=LATER) == 2
    after, second = KeyRing.load(key_path), secrets_in(key_path)
    assert after.ids == (2, 1)
    assert list_fields(after.open(old_link)) == list_fields(CLICK)
    new_link = after.seal(CLICK)
    assert list_fields(after.open(new_link)) == list_fields(CLICK)
    with pytest.raises(InvalidTokenError, match="no key has id 2"):
        before.open(new_link)
    keys.rotate(key_path, now=LATER)
    assert secrets_in(key_path)[1:] == second
    assert second[1:] == first
    assert len(set(secrets_in(key_path))) == 3


def test_a_rotated_file_is_private_and_nothing_lies_beside_it(key_path: Path) -> None:
    key_path.chmod(0o400)
    keys.rotate(key_path)
    assert stat.S_IMODE(key_path.stat().st_mode) == 0o600
    assert list(key_path.parent.iterdir()) == [key_path]


def test_a_link_to_the_file_stays_one(key_path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(key_path.name)
    keys.rotate(link)
    assert link.is_symlink()
    assert KeyRing.load(key_path).ids == (2, 1)


@needs_root
@pytest.mark.parametrize(("before", "after"), [(0o640, 0o640), (0o440, 0o640), (0o600, 0o600)])
def test_whom_root_let_read_a_file_reads_the_rotated_one(
    key_path: Path, before: int, after: int
) -> None:
    os.chown(key_path, 0, 4711)
    key_path.chmod(before)
    keys.rotate(key_path)
    status = key_path.stat()
    assert stat.S_IMODE(status.st_mode) == after
    assert (status.st_uid, status.st_gid) == (0, 4711 if after & 0o040 else os.getgid())
    os.chown(key_path, 4712, -1)
    key_path.chmod(0o600)
    keys.rotate(key_path)
    assert key_path.stat().st_uid == 4712


@pytest.mark.parametrize(
    ("there", "new"),
    [
        *(([1], 2), ([7], 8), ([3, 9, 5], 10), ([254], 255), ([255], 1), ([255, 1, 2], 3)),
        ([*range(2, 256)], 1),
        ([*range(1, 40), *range(41, 256)], 40),
    ],
)
def test_a_new_number_follows_the_highest_and_then_the_longest_unused(
    tmp_path: Path, there: list[int], new: int
) -> None:
    path = key_file(tmp_path, {number: bytes([number]) * 32 for number in there})
    assert keys.rotate(path) == new
    assert KeyRing.load(path).ids[0] == new


def test_a_file_with_255_keys_has_no_room_and_stays(tmp_path: Path) -> None:
    path = key_file(tmp_path, {number: bytes([number]) * 32 for number in range(1, 256)})
    before = path.read_bytes()
    assert_refused(path, "has 255 keys, the most there can be; remove the oldest", keys.rotate)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


ROTATE = """
import sys
from msys_track.keys import file as keys
from msys_track.errors import KeyRingError
sys.stdin.read(1)
for _ in range(10):
    try:
        print(keys.rotate(sys.argv[1]))
    except KeyRingError as error:
        assert "a rotation is under way" in str(error), error
"""


def test_processes_that_rotate_at_once_lose_no_key(key_path: Path) -> None:
    processes = [
        subprocess.Popen(  # noqa: S603
            [sys.executable, "-c", ROTATE, str(key_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    outputs = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4
    added = sorted(int(line) for output in outputs for line in output.splitlines())
    assert added == list(range(2, len(added) + 2))
    assert KeyRing.load(key_path).ids == (*reversed(added), 1)
    assert len(set(secrets_in(key_path))) == len(added) + 1
    assert list(key_path.parent.iterdir()) == [key_path]


def test_whoever_reads_during_rotations_sees_a_whole_file(key_path: Path) -> None:
    old_link = KeyRing.load(key_path).seal(CLICK)
    done = threading.Event()

    def rotate_often() -> None:
        for _ in range(60):
            keys.rotate(key_path)
        done.set()

    rotating = threading.Thread(target=rotate_often)
    rotating.start()
    seen = set()
    while not done.is_set():
        current = KeyRing.load(key_path)
        seen.add(current.ids[0])
        assert list_fields(current.open(old_link)) == list_fields(CLICK)
    rotating.join()
    assert len(seen) > 1


DYING = """
import os, sys
from pathlib import Path
from msys_track.keys import file as keys
def die(*_, **__): os._exit(9)
owner = Path if sys.argv[2] == "replace" else os
setattr(owner, sys.argv[2], die)
keys.rotate(sys.argv[1])
"""


@pytest.mark.parametrize("step", ["fdopen", "fsync", "replace"])
def test_a_rotation_that_dies_on_the_way_leaves_the_old_file(key_path: Path, step: str) -> None:
    before = key_path.read_bytes()
    assert run_script(key_path.parent, DYING, key_path, step).code == 9
    assert key_path.read_bytes() == before
    draft = key_path.with_name(".keys.toml.new")
    assert_refused(key_path, f"a rotation is under way or was cut off; .*{draft}", keys.rotate)
    assert stat.S_IMODE(draft.stat().st_mode) == 0o600
    draft.unlink()
    assert keys.rotate(key_path) == 2


def test_what_a_full_disk_stops_leaves_no_half_of_a_file(
    key_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    before = key_path.read_bytes()
    monkeypatch.setattr(os, "fsync", fail)  # a full disk can't be had here
    assert_refused(key_path, "can't be replaced: No space left on device", keys.rotate)
    other = key_path.with_name("other.toml")
    assert_refused(other, "can't be written: No space left on device", keys.create)
    assert key_path.read_bytes() == before
    assert list(key_path.parent.iterdir()) == [key_path]
