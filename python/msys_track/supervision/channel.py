"""A worker's end of its channel to the supervisor: orders come in, reports go out.

An order is a word on a line, a report one JSON object on a line. Behind `stop` there may be a
number: when all has to be done, in seconds of `time.monotonic`, which processes have in common.
The channel's end means that the supervisor is gone: the worker then stops as if it had been told
to, and no process is left behind.
"""

import asyncio
import json
import signal
import socket
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, cast, get_args

Order: TypeAlias = Literal["reload", "retire", "stop"]

_ORDERS: Final = get_args(Order)


class Channel(asyncio.Protocol):
    """Takes orders and sends reports; `open` makes it.

    Attributes:
        stop_by: When what it was told to stop is to be done, in seconds of `time.monotonic`;
            None where nobody said.
    """

    def __init__(self, on_order: Callable[[Order], None]) -> None:
        self._on_order = on_order
        self._unread = b""
        self.stop_by: float | None = None
        self._transport: asyncio.WriteTransport | None = None

    @classmethod
    async def open(cls, control: socket.socket, on_order: Callable[[Order], None]) -> "Channel":
        """Use a connected socket; call `on_order` for each order in the running loop."""
        loop = asyncio.get_running_loop()
        control.setblocking(False)  # noqa: FBT003 - the standard library's
        _, channel = await loop.create_unix_connection(lambda: cls(on_order), sock=control)
        return channel

    def report(self, **fields: Any) -> None:
        """Send a report; none is sent to a supervisor that is gone."""
        if self._transport is not None:
            self._transport.write(json.dumps(fields).encode() + b"\n")

    def close(self) -> None:
        """Send what was reported, and no more."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        self._transport = cast("asyncio.WriteTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """Stop: the supervisor is gone."""
        self._transport = None
        self._on_order("stop")

    def data_received(self, data: bytes) -> None:
        """Obey each whole line; what a newer supervisor may say besides is ignored."""
        *lines, self._unread = (self._unread + data).split(b"\n")
        for line in lines:
            word, _, number = line.partition(b" ")
            for order in _ORDERS:
                if word == order.encode():
                    if number:
                        self.stop_by = float(number)
                    self._on_order(order)


async def take_orders(control: socket.socket) -> tuple[Channel, "asyncio.Queue[Order]"]:
    """Open a worker's channel, and queue the orders that come; SIGTERM is an order to stop."""
    orders: asyncio.Queue[Order] = asyncio.Queue()
    channel = await Channel.open(control, orders.put_nowait)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, orders.put_nowait, "stop")
    return channel, orders
