"""With the library's packages alone a command runs, or names the extra and the line to type."""

import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeAlias

import pytest
from tests.processes import environment

import msys_track
from msys_track.cli import COMMANDS
from msys_track.errors import MissingExtraError, SettingsError
from msys_track.extras import needed_extra
from msys_track.keys.file import create

Ended: TypeAlias = subprocess.CompletedProcess[str]
Command: TypeAlias = Callable[..., Ended]

PACKAGE: Final = Path(msys_track.__file__).parent
SITE: Final = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
LIBRARY: Final = """
from msys_track import *
keys = KeyRing.temporary()
options = TrackingOptions(click_tracking=True, tracking_domain="click.example.com")
message = b"Content-Type: text/html\\r\\n\\r\\n<a href='http://e.com/?a'>x</a>\\r\\n"
copy = rewrite(message, recipient="jo@example.com", options=options, keys=keys)
url = copy.split(b"href='")[1].split(b"'")[0].decode()
print(open_link(url, keys).target)
"""


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with what `pip install msys-track` brings: no extra."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    venv.create(folder, symlinks=True)
    site = folder / SITE
    for name in ("click", "idna"):
        found = find_spec(name)
        assert found is not None
        assert found.origin is not None
        (site / name).symlink_to(Path(found.origin).parent)
    (site / PACKAGE.name).symlink_to(PACKAGE)
    for each in Path(sys.prefix, SITE).glob("msys_track-*.dist-info"):
        shutil.copytree(each, site / each.name)
    return folder


@pytest.fixture
def command(bare: Path, tmp_path: Path) -> Command:
    """Run the command of that environment in the test's folder."""
    main = "from msys_track.cli import main; main(prog_name='msys-track')"

    def run(*arguments: str, program: str = main, given: str = "") -> Ended:
        variables = environment() | {"PYTHONPATH": ""}
        return subprocess.run(  # noqa: S603 - our own program
            [bare / "bin" / "python", "-c", program, *arguments],
            input=given,
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=variables,
            check=False,
        )

    return run


def test_the_library_tracks_without_any_extra(command: Command) -> None:
    done = command(program=LIBRARY)
    assert (done.returncode, done.stdout) == (0, "http://e.com/?a\n"), done.stderr


def test_the_commands_of_the_library_run_without_any_extra(
    command: Command, tmp_path: Path
) -> None:
    assert command("--version").stdout == f"msys-track {msys_track.__version__}\n"
    assert command("--help").returncode == 0
    assert command("keys", "new", "keys.toml").returncode == 0
    mail = "Content-Type: text/html\n\n<a href='http://e.com/'>x</a>\n"
    options = ("--to", "jo@example.com", "--click-tracking", "--keys", "keys.toml")
    rewritten = command("rewrite", *options, given=mail)
    assert rewritten.returncode == 0, rewritten.stderr
    link = rewritten.stdout.split("href='")[1].split("'")[0]
    opened = command("open-link", link, "--keys", "keys.toml")
    assert '"target": "http://e.com/"' in opened.stdout
    added = command("users", "add", "users.toml", "amy", given="correct horse battery\n")
    assert added.returncode == 0, added.stderr
    assert sorted(each.name for each in tmp_path.iterdir()) == ["keys.toml", "users.toml"]


@pytest.mark.parametrize("name", sorted(name for name in COMMANDS if COMMANDS[name].extra))
def test_a_command_without_its_extra_names_the_line_to_type(name: str, command: Command) -> None:
    extra = COMMANDS[name].extra
    assert extra is not None
    done = command(name, "--help")
    if done.returncode == 0:  # packages are not needed for its help, or one command of a group
        assert done.stdout.startswith(f"Usage: msys-track {name}")
        return
    noun = "extras" if "," in extra else "extra"
    line = f"`msys-track {name}` needs the {noun} [{extra}]: pip install 'msys-track[{extra}]'"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"msys-track: {line}\n"


def test_a_server_without_its_extra_does_not_start(command: Command, tmp_path: Path) -> None:
    create(tmp_path / "keys.toml")
    text = 'keys = "keys.toml"\n[tracker]\nstore = "e.sqlite"\n[report]\nusers = "u.toml"\n'
    (tmp_path / "msys-track.toml").write_text(text, encoding="utf-8")
    for name in ("proxy", "tracker", "report", "serve", "demo", "events"):
        done = command(name)
        assert done.returncode == 2
        assert "pip install 'msys-track[" in done.stderr


def test_a_missing_module_that_no_extra_brings_is_another_fault() -> None:
    for name in ("msys_track._core", ""):
        with pytest.raises(ModuleNotFoundError), needed_extra("kafka", "Kafka"):
            raise ModuleNotFoundError(name=name)
    with pytest.raises(SettingsError, match="not part of this Python") as raised:  # noqa: SIM117
        with needed_extra("kafka", "Kafka"):
            raise ModuleNotFoundError(name="_sqlite3")
    assert not isinstance(raised.value, MissingExtraError)


def test_who_catches_settings_errors_catches_a_missing_extra() -> None:
    with pytest.raises(SettingsError) as raised, needed_extra("proxy,tracker", "a demo"):
        import not_installed_anywhere  # type: ignore[import-not-found]  # noqa: F401, PLC0415
    assert str(raised.value) == (
        "a demo needs the extras [proxy,tracker]: pip install 'msys-track[proxy,tracker]'"
    )
    assert isinstance(raised.value, MissingExtraError)
    assert raised.value.extra == "proxy,tracker"
