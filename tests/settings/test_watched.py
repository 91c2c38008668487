"""Files that change while a server runs."""

import ssl
from functools import partial
from pathlib import Path

import pytest
from tests.certificates import make_certificate, shake_hands

from msys_track.errors import SettingsError
from msys_track.settings.watched import Watched
from msys_track.smtp.tls import make_server_context


def watch(certificate: Path, key: Path) -> Watched[ssl.SSLContext]:
    return Watched((certificate, key), partial(make_server_context, certificate, key))


def test_files_that_did_not_change_are_not_read_again(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    tls = watch(made.certificate, made.key)
    before = tls.value
    assert not tls.reload_if_changed()
    assert tls.value is before


def test_a_renewed_certificate_serves_the_next_connection(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    tls = watch(made.certificate, made.key)
    renew(tmp_path)
    assert tls.reload_if_changed()
    shake_hands(tls.value, made.trust())


def test_a_pair_that_does_not_fit_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    tls = watch(made.certificate, made.key)
    old_trust = made.trust()
    old_key = made.key.read_bytes()
    renew(tmp_path)
    new_key = made.key.read_bytes()
    made.key.write_bytes(old_key)
    for reload in (tls.reload, tls.reload_if_changed):
        with pytest.raises(SettingsError, match="the key is not the certificate's"):
            reload()
    shake_hands(tls.value, old_trust)
    made.key.write_bytes(new_key)
    assert tls.reload_if_changed()
    shake_hands(tls.value, made.trust())


def renew(folder: Path) -> None:
    """Replace the files as certbot does: new ones take the old ones' names."""
    new = make_certificate(folder, stem="new")
    new.certificate.replace(folder / "server.crt")
    new.key.replace(folder / "server.key")
