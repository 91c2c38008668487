"""Two upstreams, one of which is always being killed: mail goes on, none is lost or crossed."""

import os
import sys
from pathlib import Path

import pytest
from tests.faults.stage import Child, Stage
from tests.ports import find_free_ports

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(180)]

_KILLS = 4
_MAILS_BETWEEN = 40


async def test_mail_goes_on_while_one_of_two_upstreams_is_killed(tmp_path: Path) -> None:
    (port,) = find_free_ports(1)
    async with Stage(tmp_path, seed=3) as stage:
        second = Child(
            "second",
            tmp_path,
            port,
            (sys.executable, "-m", "tests.faults.sink", str(port), stage.journal),
            {"PYTHONPATH": os.pathsep.join((str(Path(__file__).parents[2]), *sys.path))},
        )
        tables = "".join(
            f'[upstream.{name}]\naddress = "127.0.0.1:{each.port}"\n'
            for name, each in (("first", stage.upstream), ("second", second))
        )
        configuration = tmp_path / "proxy.toml"
        text = configuration.read_text(encoding="utf-8")
        alone = f'upstream = "127.0.0.1:{stage.upstream.port}"\n'
        configuration.write_text(text.replace(alone, "") + tables, encoding="utf-8")
        try:
            await second.start()
            await stage.start()
            for number in range(_KILLS):
                victim = (stage.upstream, second)[number % 2]
                await stage.until_accepted(_MAILS_BETWEEN)
                await victim.kill()
                await stage.until_accepted(_MAILS_BETWEEN)  # all of it by the other one
                await victim.start()
            account = await stage.settle()
        finally:
            second.clear_away()
    assert not account.faults, account.faults
    assert account.accepted + account.refused == account.sent >= 2 * _KILLS * _MAILS_BETWEEN
    assert account.given_up == 0
    written = (tmp_path / "proxy.log").read_text(encoding="utf-8")
    assert "upstream.down" in written
    assert "upstream.up" in written
