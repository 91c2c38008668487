"""Publishes messages over AMQP 0-9-1 and says whether the broker has them; knows no log."""

import asyncio
import logging
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, ChannelNotFoundEntity

from msys_track.errors import SettingsError, SinkError
from msys_track.sinks.lines import EventFacts, find_facts
from msys_track.sinks.rabbitmq.settings import RabbitmqSettings

# What the libraries would write to standard error is told by errors, once.
for _name in ("aiormq", "aio_pika"):
    logging.getLogger(_name).addHandler(logging.NullHandler())
    logging.getLogger(_name).propagate = False

_HEARTBEAT_SECONDS: Final = 30
_CLOSE_SECONDS: Final = 2.0
_FAILURES: Final = (AMQPError, ChannelInvalidStateError, OSError, asyncio.CancelledError)
_MAX_SHORT_BYTES: Final = 255
_YEAR_10000: Final = 253_402_300_800  # in Unix seconds: the library makes a date of them
_UNKNOWN: Final = EventFacts("event", "unknown", "", 0)


class Publisher:
    """One connection to a broker; made again where it was lost."""

    def __init__(self, name: str, settings: RabbitmqSettings, password: str) -> None:
        """Prepare; no connection is made.

        Args:
            name: The sink's.
            settings: Of the broker.
            password: That of the user.

        Raises:
            SettingsError: a certificate can't be used.
        """
        self._settings = settings
        self._password = password
        self._tls = _make_tls_context(name, settings) if settings.has_tls else None
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None

    async def open(self) -> None:
        """Connect, and find or make the exchange.

        Raises:
            SinkError: the broker can't be reached, or refuses us.
        """
        await self._connect()

    async def publish(self, lines: Sequence[bytes]) -> None:
        """Publish events in order; return when the broker has confirmed all of them.

        Raises:
            SinkError: it has not; which of them it has is not known.
        """
        exchange = self._exchange or await self._connect()
        tasks = [self._publish(exchange, line) for line in lines]
        timeout = self._settings.timeout_seconds
        try:
            async with asyncio.timeout(timeout):
                # A lost connection cancels what waits for an answer: as a result it is no
                # cancellation of ours.
                results = await asyncio.gather(*tasks, return_exceptions=True)
        except TimeoutError:
            await self.close()
            raise SinkError(f"{self._where()}: no confirmation in {timeout:g} seconds") from None
        for result in results:
            if isinstance(result, BaseException):
                await self.close()
                if not isinstance(result, _FAILURES):
                    raise result
                raise SinkError(f"{self._where()}: {_describe(result)}") from result

    async def close(self) -> None:
        """Close the connection; the next `publish` makes another one."""
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with suppress(*_FAILURES[:-1], TimeoutError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await connection.close()

    async def _publish(self, exchange: AbstractExchange, line: bytes) -> None:
        message, key = make_message(line)
        await exchange.publish(message, key, mandatory=self._settings.mandatory)

    async def _connect(self) -> AbstractExchange:
        settings = self._settings
        try:
            async with asyncio.timeout(settings.timeout_seconds):
                self._connection = await aio_pika.connect(
                    host=settings.host.strip("[]"),
                    port=settings.broker_port,
                    login=settings.user,
                    password=self._password,
                    virtualhost=settings.virtual_host,
                    ssl=self._tls is not None,
                    ssl_context=self._tls,
                    heartbeat=_HEARTBEAT_SECONDS,
                    client_properties={"connection_name": "msys-track"},
                )
                self._exchange = await self._find_exchange(self._connection)
        except TimeoutError:
            await self.close()
            timeout = settings.timeout_seconds
            raise SinkError(f"{self._where()}: no answer in {timeout:g} seconds") from None
        except _FAILURES[:-1] as error:
            await self.close()
            raise SinkError(f"{self._where()}: {_describe(error)}") from error
        return self._exchange

    async def _find_exchange(self, connection: AbstractConnection) -> AbstractExchange:
        """Find the exchange, which others may have made in their way, or make it."""
        name = self._settings.exchange
        try:
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            return await channel.declare_exchange(name, passive=True)
        except ChannelNotFoundEntity:  # the broker has closed the channel
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            return await channel.declare_exchange(name, aio_pika.ExchangeType.TOPIC, durable=True)

    def _where(self) -> str:
        return f"{self._settings.host}:{self._settings.broker_port}"


def make_message(line: bytes) -> tuple[aio_pika.Message, str]:
    """Make a message of an event, and its routing key; what AMQP can't say of it is left out."""
    facts = find_facts(line) or _UNKNOWN
    message = aio_pika.Message(
        line,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        app_id="msys-track",
        message_id=_shorten(facts.event_id),
        type=_shorten(facts.type),
        timestamp=facts.timestamp if 0 <= facts.timestamp < _YEAR_10000 else None,
    )
    return message, _shorten(f"{facts.envelope}.{facts.type}")


def _shorten(text: str) -> str:
    """Cut a text to what a short string of AMQP 0-9-1 holds (section 4.2.5.3)."""
    return text.encode("utf-8", "replace")[:_MAX_SHORT_BYTES].decode("utf-8", "ignore")


def _make_tls_context(name: str, settings: RabbitmqSettings) -> ssl.SSLContext:
    file = settings.tls_ca
    try:
        context = ssl.create_default_context(cafile=file)
        if settings.tls_certificate is not None:
            file = settings.tls_certificate
            context.load_cert_chain(file, settings.tls_key)
    except OSError as error:
        reason = error.strerror or error
        raise SettingsError(f"{name}: {file}: can't be used: {reason}") from error
    return context


def _describe(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text or error.__class__.__name__
