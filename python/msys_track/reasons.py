"""Why something was left as it was: the core's own list (`rust/reason.rs`), as an enum."""

from enum import EnumMeta, StrEnum
from typing import TYPE_CHECKING

from msys_track import _core


class _Listed(EnumMeta):
    """The members are read from the core, where no type checker can see their names."""

    if TYPE_CHECKING:

        def __getattr__(cls, name: str) -> "Reason": ...


class Reason(StrEnum, metaclass=_Listed):
    """Why a link, a part or a message was left as it was; `docs/reasons.md` lists the members.

    A member's value is its code, and its name the same in upper case: `Reason.NOT_HTTP` is
    `"not_http"`.
    """

    vars().update({code.upper(): code for code in _core.REASONS})

    @property
    def meaning(self) -> str:
        """What it means, in the words of the documentation."""
        return _core.REASONS[self.value].replace("`", "")
