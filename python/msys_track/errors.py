"""The tree of exceptions: a caller that catches `TrackingError` catches all of ours.

```
TrackingError
├─ SettingsError     a configuration file: file, line, key and what is allowed
│  └─ MissingExtraError   what was asked for needs packages that are not installed
├─ RecipientError    a recipient is not a mail address alone
├─ MessageError      what was given to the library is not a message
├─ MessageRefusedError    no copy of this message is sent: the SMTP reply for its sender
│  ├─ HeaderRefusedError  X-MSYS-API is malformed
│  └─ PolicyRefusedError  policy refuses, or fails and must not be skipped
├─ PolicyFailedError      a policy gave no answer: file, line and cause
├─ KeyRingError      a key file: path, what is wrong, how to make a good one
├─ UsersError        a file of users: path, what is wrong, what to do
├─ ApiKeysError      a file of API keys: path, what is wrong, what to do
├─ InvalidTokenError      a link that is not ours, or no longer what we sealed
├─ RewriteError     the core gave up; the caller sends the original
├─ UpstreamError     the next hop: temporary or permanent, and its reply
│  └─ PartlyTakenError    some recipients have the mail, others not
└─ SinkError         events could not be stored; the writer retries
```
"""

import copyreg
import os
from typing import Any, Literal


class PicklableError(Exception):
    """An exception that can be pickled, whatever its constructor takes.

    Python makes a pickled exception again by calling its class with `args`, which are the text
    and seldom the constructor's arguments. A worker's exception that can't be made again breaks
    the whole `ProcessPoolExecutor`.
    """

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what `pickle` and `copy` rebuild it from: `args` and attributes."""
        return copyreg.__newobj__, (type(self), *self.args), vars(self)  # type: ignore[attr-defined]


class TrackingError(PicklableError):
    """Root of every exception that msys-track raises on purpose."""


class SettingsError(TrackingError):
    """A configuration is wrong; the text names file, line or key, and what is allowed."""


class MissingExtraError(SettingsError):
    """Packages are not installed that only some uses need; the text has the line to type.

    Attributes:
        extra: The extra that brings them, as `pyproject.toml` names it; several with commas.
    """

    def __init__(self, what: str, extra: str) -> None:
        noun = "extras" if "," in extra else "extra"
        super().__init__(f"{what} needs the {noun} [{extra}]: pip install 'msys-track[{extra}]'")
        self.extra = extra


class RecipientError(TrackingError, ValueError):
    """A recipient is not a mail address alone; the text names it and what to give."""


class MessageError(TrackingError, ValueError):
    """What was given to the library is not a message; the text says what to call instead."""


class MessageRefusedError(TrackingError):
    """No copy of this message is sent: `code` and `text` are the reply to DATA."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text


class HeaderRefusedError(MessageRefusedError):
    """`X-MSYS-API` is malformed."""


class PolicyRefusedError(MessageRefusedError):
    """Policy refused the message, or failed where it must not be skipped."""


class PolicyFailedError(TrackingError):
    """A policy gave no answer; the text names file, line, hook and cause."""


class KeyRingError(TrackingError):
    """A key file can't be used; the text names the path and what to do."""


class UsersError(TrackingError):
    """A file of users can't be used or changed; the text names the path and what to do."""


class ApiKeysError(TrackingError):
    """A file of API keys can't be used; the text names it and what to do."""


class InvalidTokenError(TrackingError):
    """A tracked URL was not sealed by a key we hold, or was changed since."""


class RewriteError(TrackingError):
    """The core could not plan or render; the original message goes on."""


class UpstreamError(TrackingError):
    """The next hop did not take a transaction: `code` and `text` are for the client.

    Attributes:
        outcome: `refused`: the upstream said so itself. `not_sent`: it can't have the message, so
            that another try makes no second mail. `unknown`: the connection ended after the end
            of the data was sent; it may have the message.
        recipient: The address that a refusal is about, if it is about one.
    """

    def __init__(
        self,
        code: int,
        text: str,
        *,
        outcome: Literal["refused", "not_sent", "unknown"] = "refused",
        recipient: str | None = None,
    ) -> None:
        super().__init__(f"{code} {text}")
        self.code = code
        self.text = text
        self.outcome = outcome
        self.recipient = recipient

    @property
    def is_final(self) -> bool:
        """Whether the upstream refused for good: another try would be refused too."""
        return self.outcome == "refused" and self.code >= 500  # noqa: PLR2004 - RFC 5321 4.2.1


class PartlyTakenError(UpstreamError):
    """An upstream over LMTP took the message for some recipients, and for others not.

    `code` and `text` are the answer where nothing else can be done: permanent, because those who
    have the mail would get it again.

    Attributes:
        taken: The recipients who have the mail, as they were given.
        refused: What became of each of the others; `outcome` says who may have it all the same.
    """

    def __init__(self, taken: tuple[str, ...], refused: dict[str, UpstreamError]) -> None:
        whole = "; ".join(
            f"<{path}>: {error.code} {error.text}" for path, error in refused.items()
        )
        count = len(taken) + len(refused)
        super().__init__(554, f"5.3.0 {len(taken)} of {count} recipients have the mail; {whole}")
        self.taken = taken
        self.refused = refused


class SpoolError(TrackingError):
    """The spool could not keep mail, or its file can't be used; the text says what to do."""


class SpoolFullError(SpoolError):
    """The disk is full, or the spool holds as much as its settings allow."""


class SpoolDamagedError(SpoolError):
    """The spool's file is damaged, or is not one."""


class SinkError(TrackingError):
    """Events could not be made durable; the writer keeps them and tries again."""


def describe_os_error(error: OSError) -> str:
    """Describe an error of the operating system, without the address or file that Python adds."""
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return error.strerror or str(error)
