"""librdkafka, by confluent-kafka."""

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
        "debug": "broker,eos",
        "client.id": settings.get("client.id", "librdkafka"),
        "socket.timeout.ms": int(settings.get("request.timeout.ms", 60_000)),
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
        producer.poll(0.1)


def send(record_id, partition):
    producer.produce(topic, record_id.encode(), partition=partition, on_delivery=told(record_id))


threading.Thread(target=poll, daemon=True).start()
obey(send, producer.flush, producer.flush)
