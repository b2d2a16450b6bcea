"""kafka-python."""

import logging

import kafka

from lines import ANY_PARTITION, acked, arguments, failed, obey

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
bootstrap, topic, settings = arguments()
producer = kafka.KafkaProducer(
    bootstrap_servers=bootstrap,
    enable_idempotence=True,
    # Connections are cut all the time: wait no longer than needed for the next.
    reconnect_backoff_max_ms=500,
    client_id=settings.get("client.id", "kafka-python"),
    request_timeout_ms=int(settings.get("request.timeout.ms", 30_000)),
    delivery_timeout_ms=int(settings.get("delivery.timeout.ms", 120_000)),
)


def send(record_id, partition):
    future = producer.send(topic, record_id.encode(), partition=None if partition == ANY_PARTITION else partition)
    future.add_callback(lambda at: acked(record_id, at.partition, at.offset))
    future.add_errback(lambda error: failed(record_id, error))


obey(send, producer.flush, producer.close)
