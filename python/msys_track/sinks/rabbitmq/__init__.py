"""RabbitMQ: events as Momentum's hose has them, each a message to a topic exchange."""
