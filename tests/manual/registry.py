"""What runs the blocks of which page. A page that stands in no table here is run as it is.

`tests/manual/test_blocks.py` runs the blocks of every page one after the other; CONTRIBUTING.md
says how. A page that needs more has tests of its own, named in `RUN_BY`. A block that can't be run
by a test stands in `NOT_RUN` with the reason.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from tests.shown import ROOT, Block, read_blocks

RUN_BY: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "README.md": {
        "tests/test_readme.py": (
            "python",
            "toml",
            "sh make*",
            "sh msys-track keys*",
            "sh msys-track serve*",
            " X-MSYS-API*",
        )
    },
    "docs/architecture.md": {"tests/test_architecture.py": ("text folder *",)},
    "docs/classification.md": {
        "tests/tracking/classify/test_documentation.py": ("text networks",)
    },
    "docs/command-line.md": {"tests/cli/test_reference.py": ("*",)},
    "docs/ecelerity.md": {
        "tests/config/momentum/test_document.py": ("text ecelerity.conf", "toml")
    },
    "docs/events.md": {"tests/test_events_page.py": ("json *", "sql *")},
    "docs/first-mail.md": {"tests/test_first_mail.py": ("sh [!i]*", "sh init", "text")},
    "docs/library.md": {"tests/test_library_page.py": ("*",)},
    "docs/mail.md": {"tests/test_mail_page.py": ("*",)},
    "docs/migration.md": {"tests/test_migration_page.py": ("*",)},
    "docs/reference/api.md": {"tests/manual/test_reference.py": ("*",)},
    "docs/sparkpost-api.md": {"tests/report/sparkpost/test_page.py": ("*",)},
    "docs/policy.md": {"tests/policy/test_page.py": ("python *", "lua *")},
    "docs/serving.md": {"tests/test_serving_page.py": ("console",)},
    "docs/smtp.md": {"tests/smtp/test_received.py": ("text Received",)},
    "docs/streaming.md": {"tests/rewriting/test_stream.py": ("python",)},
    "docs/streams.md": {
        "tests/test_streams_page.py": ("toml *", "python kafka"),
        "tests/sinks/rabbitmq/test_sink.py": ("python rabbitmq",),
    },
    "docs/tokens.md": {"tests/keys/test_plain.py": ("dictionary", "toml keys.toml")},
    "docs/tracker.md": {"tests/tracking/test_documentation.py": ("http *",)},
    "docs/unsubscribing.md": {"tests/tracking/test_documentation.py": ("text redirects.txt",)},
    "docs/webhooks.md": {"tests/test_webhooks_page.py": ("*",)},
}
"""By page: the tests that run its blocks, and which ones.

A pattern is held against the words behind the fence, and against the language with the first line.
"""

NOT_RUN: Final[Mapping[str, Mapping[str, str]]] = {
    "CONTRIBUTING.md": {
        "make test-rust": "runs all tests, from within a test",
        "cargo +nightly fuzz": "needs a nightly compiler, and minutes",
    },
    "docs/deploy/README.md": {
        "podman build": "builds an image; docs/operating.md says where it was run",
        "cd docs/deploy/compose": "starts containers; docs/operating.md says where it was run",
    },
    "docs/first-mail.md": {
        "sudo apt-get": "installs packages of Debian, and Rust from the internet"
    },
    "docs/how-to/exim.md": {"cp ": "changes this machine's Exim; tests/deploy runs the file"},
    "docs/how-to/monitoring.md": {
        "cp ": "changes this machine's Prometheus; tests/deploy/test_monitoring.py runs the files"
    },
    "docs/how-to/postfix.md": {"cat ": "changes this machine's Postfix; tests/deploy runs it"},
    "docs/how-to/tls.md": {
        "certbot": "asks an authority on the internet for a certificate",
        "#!/bin/sh\ninstall": "certbot runs it, as root",
    },
    "docs/streams.md": {
        "kafka-topics.sh": "needs Kafka's own programs and three brokers",
        "msys-track events consume": "needs that topic; tests/cli runs the command",
    },
}
"""By page: how a block begins that no test runs, and why."""


def list_pages() -> list[Path]:
    """List the documents whose blocks are run."""
    single = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "RELEASING.md")
    return [
        *(ROOT / name for name in single if (ROOT / name).exists()),
        *sorted((ROOT / "docs").glob("**/*.md")),
    ]


def name_page(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def find_test(page: str, block: Block) -> str | None:
    """Find the test of its own that runs a block; None where there is none."""
    for test, patterns in RUN_BY.get(page, {}).items():
        if any(_suits(pattern, block) for pattern in patterns):
            return test
    return None


def find_reason(page: str, block: Block) -> str | None:
    """Say why no test runs a block; None where one does."""
    for beginning, reason in NOT_RUN.get(page, {}).items():
        if block.text.startswith(beginning):
            return reason
    return None


def list_unused() -> list[str]:
    """List the patterns and beginnings above that no block has."""
    unused = []
    for page, tests in RUN_BY.items():
        blocks = list(read_blocks(ROOT / page)) if (ROOT / page).exists() else []
        unused += [
            f"{page}: {pattern}"
            for patterns in tests.values()
            for pattern in patterns
            if not any(_suits(pattern, block) for block in blocks)
        ]
    for page, beginnings in NOT_RUN.items():
        blocks = list(read_blocks(ROOT / page)) if (ROOT / page).exists() else []
        unused += [
            f"{page}: {beginning}"
            for beginning in beginnings
            if not any(block.text.startswith(beginning) for block in blocks)
        ]
    return unused


def _suits(pattern: str, block: Block) -> bool:
    first = block.text.partition("\n")[0]
    return any(
        fnmatchcase(words, pattern)
        for words in (f"{block.language} {block.role}".rstrip(), f"{block.language} {first}")
    )
