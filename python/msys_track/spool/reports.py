"""Which reports are due; each goes into the spool in the step that ends its cause."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

from msys_track.logs import event_logger
from msys_track.relay.transaction import Delivery
from msys_track.spool import queue
from msys_track.spool.clock import Clock
from msys_track.spool.copy import KeptCopy
from msys_track.spool.report import Action, Late, Subject, wants_report, write_report
from msys_track.spool.settings import SpoolSettings

log = event_logger(__name__)

# What fails within this time stands in one report, where other copies are still tried.
_GATHER_SECONDS = 60.0
# Of what is late, in one round.
_COPIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Writes reports in the name of this proxy."""

    settings: SpoolSettings
    clock: Clock
    reporting_mta: str
    takes_eight_bit: Callable[[], bool]
    """Whether the upstream takes 8-bit mail, as far as is known now."""

    def report_failures(self, connection: sqlite3.Connection) -> int:
        """Replace failed copies by the reports about them; return how many copies there were."""
        failed = queue.read_copies(
            connection,
            "state = 'failed' AND mail IN (SELECT mail FROM copies AS given_up"
            " WHERE state = 'failed' GROUP BY mail HAVING min(failed_uptime) <= ? OR NOT EXISTS"
            " (SELECT 1 FROM copies WHERE mail = given_up.mail AND state = 'waiting'))",
            self.clock.uptime() - _GATHER_SECONDS,
        )
        for copies in _group_by_mail(failed):
            self._report(connection, copies, "failed")
            for copy in copies:
                queue.remove(connection, copy)
        return len(failed)

    def report_delays(self, connection: sqlite3.Connection) -> None:
        """Keep a report for each late mail whose sender asked for one by NOTIFY=DELAY."""
        late = queue.read_copies(
            connection,
            "state = 'waiting' AND is_delay_reported = 0 AND kept_uptime <= ?",
            self.clock.uptime() - self.settings.delay_notice_hours * 3600,
            limit=_COPIES_AT_ONCE,
        )
        for copies in _group_by_mail(late):
            self._report(connection, copies, "delayed")
        connection.executemany(
            "UPDATE copies SET is_delay_reported = 1 WHERE id = ?", ((copy.id,) for copy in late)
        )

    def _report(
        self, connection: sqlite3.Connection, copies: list[KeptCopy], action: Action
    ) -> None:
        first = copies[0]
        late = [
            Late(recipient=recipient, answer=copy.answer)
            for copy in copies
            for recipient in copy.recipients
            if not first.is_report and wants_report(recipient, action)
        ]
        if action == "failed":
            # The last that is ever heard of it where no report is due (RFC 5321 section 6.1).
            write = log.error if first.is_report else log.warning
            write(
                "spool.given_up",
                queue_id=first.mail,
                envelope_id=first.envelope_id,
                copies=len(copies),
                attempts=max(copy.attempts for copy in copies),
                answer=first.answer,
                is_report=first.is_report,
                is_reported=bool(late),
            )
        if not late:
            return
        report = self._write(connection, first, late, action)
        queue.keep(
            connection,
            self.clock,
            None,
            mail_parameters=report.mail_parameters,
            deliveries=(report,),
            envelope_id=first.envelope_id,
            answer="",
        )

    def _write(
        self, connection: sqlite3.Connection, first: KeptCopy, late: list[Late], action: Action
    ) -> Delivery:
        now = self.clock.wall()
        wire = queue.read_head(connection, first.body)
        left = self.settings.give_up_hours * 3600 - (self.clock.uptime() - first.kept_uptime)
        return write_report(
            Subject(
                sender=first.sender,
                mail_parameters=first.mail_parameters,
                kept_at=first.kept_at,
                wire=wire,
                is_whole=wire.endswith(b"\r\n.\r\n"),
                is_seven_bit=first.is_seven_bit,
            ),
            late,
            action,
            reporting_mta=self.reporting_mta,
            from_address=self.settings.report_sender or f"mailer-daemon@{self.reporting_mta}",
            now=now,
            retry_until=now + left if action == "delayed" else None,
            takes_eight_bit=self.takes_eight_bit(),
        )


def _group_by_mail(copies: list[KeptCopy]) -> list[list[KeptCopy]]:
    by_mail = sorted(copies, key=lambda copy: (copy.mail, copy.sender, copy.number))
    return [
        list(group) for _, group in groupby(by_mail, key=lambda copy: (copy.mail, copy.sender))
    ]
