"""A thousand configurations at random, and the decisions of the proxy beside those of a model.

Each is written twice, as TOML and as an `ecelerity.conf`, and read as a server reads it. In each,
networks nest three deep. What a mail gets, and who decided it, must be what `precedence_model.py`
says; and for mail without header and policy `config show` must show the same.
"""

import json
import re
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Any

import pytest
from tests.precedence_model import (
    ASKED,
    BOTTOM,
    CONFIGURED,
    VARIABLES,
    Mail,
    SetUp,
    Table,
    Winner,
    decide,
)
from tests.thoroughness import some_of

from msys_track.config.checking import check_configuration
from msys_track.config.configuration import Configuration
from msys_track.config.effective import ScopeSelector, find_options
from msys_track.dispatch.dispatcher import Dispatcher
from msys_track.dispatch.session import PolicySession
from msys_track.keys import file as key_file
from msys_track.keys.ring import KeyRing
from msys_track.policy.guard import Guard
from msys_track.policy.loading import PolicySettings, load_policy

SET_UPS = 1_000
AT_ONCE = 50
MAILS = 6

LISTENS = ("127.0.0.1:2525", "127.0.0.1:2526", "[::1]:2525")
NESTED = (
    ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24"),
    ("0.0.0.0/0", "10.0.0.0/8", "10.1.2.0/25"),
    ("::/0", "2001:db8::/32", "2001:db8:1::/48"),
)
BESIDE = ("10.2.0.0/16", "192.0.2.0/24", "10.1.2.3/32", "2001:db8:2::/48")
CLIENTS = ("10.1.2.3", "10.1.2.200", "10.1.9.9", "10.2.0.1", "192.0.2.9", "127.0.0.1",
           "2001:db8:1::7", "2001:db8:9::7", "::1")  # fmt: skip
PATHWAYS = ("bulk", "receipts", "alerts", "digest")
GROUPS = ("marketing", "service")
IN_ENGAGEMENT_TRACKER = ("click_tracking_include_metadata", "max_metadata_len")
RECIPIENT = "jo@reader.example"
METADATA: tuple[dict[str, Any], ...] = (
    {"a": 1},
    {"name": "Zoë", "id": "0123456789"},
    {"list": [1, None, {"x": True}]},
    {},
)
TAGS: tuple[list[str], ...] = (["x"], ["x", "y"], [])

VALUES: dict[str, tuple[Any, ...]] = {
    "tracking_domain": ("a.example", "b.example:8443", "c.example"),
    "tracking_link_expiry": (60, 86_400, 604_800),
    "signed_mail": ("skip", "strip", "track"),
    "max_metadata_len": (0, 7, 30, 1_000),
}
TEXTS: dict[str, tuple[str, ...]] = {
    "smtpapi_open_tracking": ("1", "0", "true", "FALSE"),
    "smtpapi_click_tracking": ("1", "0", "True", "false"),
    "smtpapi_open_tracking_scheme": ("http", "https"),
    "smtpapi_click_tracking_scheme": ("http", "https"),
    "smtpapi_tracking_domain": ("policy.example", "policy.example:81"),
    "smtpapi_tracking_link_expiry": ("5", "3600"),
    "smtpapi_campaign_id": ("of policy", "autumn"),
    "smtpapi_metadata": ('{"p": 1}', '{"p": "0123456789", "q": 2}'),
    "smtpapi_tags": ('["p"]', "[]"),
    "mo_customer_id": ("7", "42"),
    "subaccount_id": ("3", "9"),
    "pathway": PATHWAYS,
}
# A context is checked when it is read; policy may say anything.
MEANINGLESS = {"smtpapi_open_tracking": "maybe", "smtpapi_tags": "{}", "mo_customer_id": "x"}

POLICY = """
import json

def validate_data_spool_each_rcpt(transaction):
    for text in transaction.headers.get("X-Policy"):
        for name, value in json.loads(text).items():
            transaction.contexts.message.set(name, value)
"""


def make_set_up(chosen: Random) -> SetUp:
    """Make a configuration that a server accepts."""
    setup = SetUp(listener=make_table(chosen, 0.4))
    setup.listens = {name: make_table(chosen) for name in LISTENS if chosen.random() < 0.7}
    for pathway in PATHWAYS:
        if chosen.random() < 0.5:
            setup.pathways[pathway] = make_table(chosen, on_pathway=False)
        if chosen.random() < 0.5 or pathway not in setup.pathways:
            setup.group_pathways[chosen.choice(GROUPS), pathway] = make_table(
                chosen, on_pathway=False
            )
    setup.groups = {name: make_table(chosen, on_pathway=False) for name in GROUPS}
    for network in choose_networks(chosen):
        setup.peers[network] = make_table(chosen)
    for listen in setup.listens:
        for network in choose_networks(chosen):
            setup.listen_peers[listen, network] = make_table(chosen)
    setup.engagement_tracker.options = {
        name: choose_value(chosen, name) for name in IN_ENGAGEMENT_TRACKER if chosen.random() < 0.5
    }
    return setup


def choose_networks(chosen: Random) -> list[str]:
    """Choose a nest of three and some beside it, in any order."""
    networks = list({*chosen.choice(NESTED), *chosen.sample(BESIDE, chosen.randint(0, 2))})
    return chosen.sample(sorted(networks), len(networks))


def make_table(chosen: Random, share: float = 0.2, *, on_pathway: bool = True) -> Table:
    options = [name for name in CONFIGURED if name not in IN_ENGAGEMENT_TRACKER]
    table = Table({n: choose_value(chosen, n) for n in options if chosen.random() < share})
    if on_pathway and chosen.random() < 0.25:
        table.pathway = chosen.choice(PATHWAYS)
    if chosen.random() < 0.15:
        table.context = choose_variables(chosen, 2)
    return table


def choose_value(chosen: Random, option: str) -> Any:
    if option.endswith("_scheme"):
        return chosen.choice(("http", "https"))
    return chosen.choice(VALUES.get(option, (True, False)))


def choose_variables(chosen: Random, most: int) -> dict[str, str]:
    names = chosen.sample(sorted(TEXTS), chosen.randint(1, most))
    return {name: chosen.choice(TEXTS[name]) for name in names}


def make_mail(chosen: Random) -> Mail:
    mail = Mail(chosen.choice(LISTENS), chosen.choice(CLIENTS), RECIPIENT)
    if chosen.random() < 0.6:
        mail.header = make_requests(chosen)
        if chosen.random() < 0.5:
            others = chosen.choice(({}, {"ann@reader.example": make_requests(chosen)}))
            recipients = {**others, RECIPIENT: make_requests(chosen)}
            mail.header["x_msys_track"] = {"recipients": recipients}
    if chosen.random() < 0.5:
        mail.variables = choose_variables(chosen, 4)
        for name, value in MEANINGLESS.items():
            if chosen.random() < 0.1:
                mail.variables[name] = value
    return mail


def make_requests(chosen: Random) -> dict[str, Any]:
    options = {name: chosen.choice((True, False, None)) for name in ASKED if chosen.random() < 0.4}
    members = {
        "options": options,
        "campaign_id": chosen.choice(("spring", "summer", None)),
        "metadata": chosen.choice((*METADATA, None)),
        "tags": chosen.choice((*TAGS, None)),
    }
    return {name: value for name, value in members.items() if chosen.random() < 0.6}


def write_toml(setup: SetUp) -> str:
    tables = {
        "listener": setup.listener,
        BOTTOM: setup.engagement_tracker,
        **{f'peer."{name}"': each for name, each in setup.peers.items()},
        **{f'listen."{name}"': each for name, each in setup.listens.items()},
        **{
            f'listen."{listen}".peer."{name}"': each
            for (listen, name), each in setup.listen_peers.items()
        },
        **{f"pathway.{name}": each for name, each in setup.pathways.items()},
        **{f"pathway_group.{name}": each for name, each in setup.groups.items()},
        **{
            f"pathway_group.{group}.pathway.{name}": each
            for (group, name), each in setup.group_pathways.items()
        },
    }
    lines = (line for name, table in tables.items() for line in _toml(name, table))
    return "".join(['keys = "keys.toml"\n[proxy]\nupstream = "127.0.0.1:1"\n', *lines])


def _toml(name: str, table: Table) -> Iterator[str]:
    yield f"[{name}]\n"
    for option, value in table.options.items():
        yield f"{option} = {json.dumps(value)}\n"
    if table.pathway is not None:
        yield f'pathway = "{table.pathway}"\n'
    if table.context:
        pairs = (f"{name} = {json.dumps(value)}" for name, value in table.context.items())
        yield f"context = {{ {', '.join(pairs)} }}\n"


def write_conf(setup: SetUp) -> str:
    inner = [
        f'Listen "{name}" {{ {_conf(each)}'
        + " ".join(
            f'Peer "{network}" {{ {_conf(peer)}}}'
            for (listen, network), peer in setup.listen_peers.items()
            if listen == name
        )
        + " }\n"
        for name, each in setup.listens.items()
    ]
    inner += [f'Peer "{name}" {{ {_conf(each)}}}\n' for name, each in setup.peers.items()]
    groups = [
        f'pathway_group "{name}" {{ {_conf(each)}'
        + " ".join(
            f'pathway "{pathway}" {{ {_conf(its)}}}'
            for (group, pathway), its in setup.group_pathways.items()
            if group == name
        )
        + " }\n"
        for name, each in setup.groups.items()
    ]
    return "".join(
        [
            'smtpapi { }\nmsys_track { keys = "keys.toml" upstream = "127.0.0.1:1" }\n',
            f"ESMTP_Listener {{ {_conf(setup.listener)}\n",
            *inner,
            "}\n",
            *groups,
            *(f'pathway "{name}" {{ {_conf(each)}}}\n' for name, each in setup.pathways.items()),
            f"engagement_tracker {{ {_conf(setup.engagement_tracker)}}}\n",
        ]
    )


def _conf(table: Table) -> str:
    text = "".join(f"{name} = {json.dumps(value)} " for name, value in table.options.items())
    if table.pathway is not None:
        text += f'pathway = "{table.pathway}" '
    if table.context:
        pairs = (f"{name} = '{value}'" for name, value in table.context.items())
        text += f"context = [ {' '.join(pairs)} ] "
    return text


def write_message(mail: Mail) -> bytes:
    lines = ["Subject: x"]
    if mail.header is not None:
        lines.append(f"X-MSYS-API: {json.dumps(mail.header)}")
    if mail.variables:
        lines.append(f"X-Policy: {json.dumps(mail.variables)}")
    return "\r\n".join([*lines, "", "x", ""]).encode()


def read_set_up(path: Path, text: str) -> Configuration:
    path.write_text(text, encoding="utf-8")
    checked = check_configuration(path)
    assert checked.problems == (), text
    assert checked.configuration is not None
    return checked.configuration


def find_winners(dispatcher: Dispatcher, mail: Mail) -> dict[str, Winner]:
    """Ask the proxy's own dispatcher."""
    peer = f"[{mail.client}]:5" if ":" in mail.client else f"{mail.client}:5"
    session = PolicySession(dispatcher.scopes, peer=peer, listen=mail.listen)
    session.add_recipient(None, mail.recipient)
    message = write_message(mail)
    decision = dispatcher.decide(
        message, [mail.recipient], transaction=session.transaction(message)
    )
    found = {
        name: Winner(origin.value, strip_place(origin.source))
        for name, origin in decision.options[mail.recipient].origins()
    }
    metadata = found["metadata"]
    if metadata.value is not None:
        found["metadata"] = Winner(json.loads(metadata.value), metadata.who)
    return found


def strip_place(source: str) -> str:
    return re.sub(r" \([^()]*:\d+\)$", "", source)


def find_shown(configuration: Configuration, mail: Mail) -> dict[str, Winner]:
    """Ask `msys-track config show`, which knows no mail: of policy it shows the context alone."""
    way = ScopeSelector(listen=mail.listen, peer=ip_address(mail.client))
    shown = find_options(configuration, way)
    return {
        attribute: Winner(
            shown[name].value,
            "policy"
            if shown[name].source.startswith("context")
            else strip_place(shown[name].source),
        )
        for name, (attribute, _) in CONFIGURED.items()
    }


@pytest.fixture(scope="module")
def keys() -> KeyRing:
    return KeyRing.temporary()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Guard:
    path = tmp_path_factory.mktemp("policy") / "policy.py"
    path.write_text(POLICY)
    loaded = load_policy(PolicySettings(files=(path,)))
    assert loaded is not None
    return Guard(loaded)


@pytest.mark.parametrize("form", ["toml", "conf"])
@pytest.mark.parametrize("first", some_of(range(0, SET_UPS, AT_ONCE), 10))
def test_the_proxy_decides_as_the_model_does(
    tmp_path: Path, keys: KeyRing, policy: Guard, first: int, form: str
) -> None:
    name, write = {
        "toml": ("msys-track.toml", write_toml),
        "conf": ("ecelerity.conf", write_conf),
    }[form]
    key_file.create(tmp_path / "keys.toml")
    for number in range(first, first + AT_ONCE):
        chosen = Random(number)  # noqa: S311 - a fixed choice of configurations
        setup = make_set_up(chosen)
        configuration = read_set_up(tmp_path / name, write(setup))
        dispatcher = Dispatcher(keys=keys, scopes=configuration.scopes, policy=policy)
        for mail in (make_mail(chosen) for _ in range(MAILS)):
            expected = decide(setup, mail)
            found = find_winners(dispatcher, mail)
            assert {each: found[each] for each in expected} == expected, (number, mail)
            shown = find_shown(configuration, mail)
            alone = decide(setup, Mail(mail.listen, mail.client, RECIPIENT))
            assert shown == {each: alone[each] for each in shown}, (number, mail)


def test_the_set_ups_have_every_kind_of_winner() -> None:
    winners: set[str] = set()
    deep = 0
    for number in range(SET_UPS):
        chosen = Random(number)  # noqa: S311 - a fixed choice of configurations
        setup = make_set_up(chosen)
        for mail in (make_mail(chosen) for _ in range(MAILS)):
            decided = {winner.who for winner in decide(setup, mail).values()}
            winners |= {re.sub(' "[^"]*"', "", who) for who in decided}
            peers = {who for who in decided if who.startswith("peer")}
            deep += len(peers) >= 3
    assert winners == {
        "policy", "header (recipient)", "header", "listen peer", "peer", "listen", "listener",
        "pathway", "pathway_group pathway", "pathway_group", BOTTOM, "default",
    }  # fmt: skip
    assert deep >= 100


def test_the_model_knows_every_variable_of_policy() -> None:
    assert {*VARIABLES.values(), "pathway"} == set(TEXTS)
