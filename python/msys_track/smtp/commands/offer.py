"""What a server offers: the answers to EHLO and HELP, and which parameters commands may have."""

from dataclasses import dataclass

from msys_track.smtp.reply import Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """The service extensions of one session; by default those that need nobody's help."""

    size: int
    """Bytes of the largest message (RFC 1870)."""
    pipelining: bool = True  # RFC 2920
    chunking: bool = True  # RFC 3030
    eight_bit_mime: bool = False  # RFC 6152
    smtp_utf8: bool = False  # RFC 6531
    enhanced_status_codes: bool = False  # RFC 2034
    dsn: bool = False  # RFC 3461
    starttls: bool = False  # RFC 3207
    auth: tuple[str, ...] = ()
    """Mechanisms in upper case (RFC 4954)."""
    xclient: tuple[str, ...] = ()
    """Attributes in upper case, as Postfix's XCLIENT has them."""
    is_settled: bool = True
    """False while nobody knows what could be offered: what is missing is refused for now only."""

    def greet(self, hostname: str) -> Reply:
        """Return the answer to EHLO."""
        offered = {
            "8BITMIME": self.eight_bit_mime,
            "SMTPUTF8": self.smtp_utf8,
            "PIPELINING": self.pipelining,
            "ENHANCEDSTATUSCODES": self.enhanced_status_codes,
            "DSN": self.dsn,
            "CHUNKING": self.chunking,
            "STARTTLS": self.starttls,
            f"AUTH {' '.join(self.auth)}": self.auth,
            f"XCLIENT {' '.join(self.xclient)}": self.xclient,
            "HELP": True,
        }
        keywords = [keyword for keyword, is_offered in offered.items() if is_offered]
        return Reply(250, "\n".join([hostname, f"SIZE {self.size}", *keywords]))

    def help(self, topic: str) -> Reply:
        """Return the answer to HELP: all commands, or the syntax of one."""
        commands = self._write_syntax()
        if topic in commands:
            return Reply(214, f"2.0.0 Syntax: {commands[topic]}")
        if topic:
            return Reply(504, f"5.5.4 No such command; there are: {' '.join(commands)}")
        return Reply(214, f"2.0.0 Commands: {' '.join(commands)}")

    def _write_syntax(self) -> dict[str, str]:
        """Write the syntax of each command that is offered, by its name."""
        mail = ["MAIL FROM:<address>", "[SIZE=bytes]", "[BODY=7BIT|8BITMIME]"]
        mail += ["[SMTPUTF8]"] * self.smtp_utf8 + ["[RET=FULL|HDRS] [ENVID=id]"] * self.dsn
        rcpt = ["RCPT TO:<address>", *["[NOTIFY=when] [ORCPT=type;address]"] * self.dsn]
        optional = {
            "AUTH": self.auth and "AUTH mechanism [initial-response]",
            "BDAT": self.chunking and "BDAT bytes [LAST]",
            "STARTTLS": self.starttls and "STARTTLS",
            "XCLIENT": self.xclient and "XCLIENT attribute=value...",
        }
        always = {
            "DATA": "DATA",
            "EHLO": "EHLO hostname",
            "HELO": "HELO hostname",
            "HELP": "HELP [command]",
            "MAIL": " ".join(mail),
            "NOOP": "NOOP",
            "QUIT": "QUIT",
            "RCPT": " ".join(rcpt),
            "RSET": "RSET",
            "VRFY": "VRFY address",
        }
        offered = {name: syntax for name, syntax in optional.items() if syntax}
        return dict(sorted({**always, **offered}.items()))
