"""librdkafka, by confluent-kafka."""

import sys
import threading

import confluent_kafka

from lines import acked, arguments, failed, obey

bootstrap, topic, settings = arguments()
producer = confluent_kafka.Producer(
    {
        "bootstrap.servers": bootstrap,
        "enable.idempotence": True,
        # Connections are cut all the time: wait no longer than needed for the next.
        "reconnect.backoff.max.ms": 500,
        "debug": "eos",
        "client.id": settings.get("client.id", "librdkafka"),
        "socket.timeout.ms": int(settings.get("request.timeout.ms", 60_000)),
        "message.timeout.ms": int(settings.get("delivery.timeout.ms", 300_000)),
    }
)


def told(record_id):
    def callback(error, message):
        if error is None:
            acked(record_id, message.partition(), message.offset())
        else:
            failed(record_id, error)

    return callback


def poll():
    while True:
        try:
            producer.poll(0.1)
        except confluent_kafka.KafkaException as fatal:
            print(fatal, file=sys.stderr)
            # This instance sends nothing any more: what it still has fails now.
            producer.purge()


def send(record_id, partition):
    try:
        producer.produce(topic, record_id.encode(), partition=partition, on_delivery=told(record_id))
    except confluent_kafka.KafkaException as refused:
        failed(record_id, refused)


threading.Thread(target=poll, daemon=True).start()
obey(send, producer.flush, producer.flush)
