"""aiokafka."""

import asyncio
import logging
import threading

import aiokafka

from lines import ANY_PARTITION, acked, arguments, failed, obey

logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
bootstrap, topic, settings = arguments()
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


def run(coroutine):
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


async def start():
    started = aiokafka.AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        enable_idempotence=True,
        client_id=settings.get("client.id", "aiokafka"),
        # It fails batches that are older than this while it knows no leader: no shorter than a test may take, unless asked.
        request_timeout_ms=int(settings.get("request.timeout.ms", settings.get("delivery.timeout.ms", 90_000))),
    )
    await started.start()
    return started


producer = run(start())


def send(record_id, partition):
    async def hand_over():
        try:
            return await producer.send(topic, record_id.encode(), partition=None if partition == ANY_PARTITION else partition)
        except Exception as error:
            failed(record_id, error)
            return None

    def told(future):
        error = future.exception()
        if error is None:
            acked(record_id, future.result().partition, future.result().offset)
        else:
            failed(record_id, error)

    future = run(hand_over())
    if future is not None:
        loop.call_soon_threadsafe(future.add_done_callback, told)


obey(send, lambda: run(producer.flush()), lambda: run(producer.stop()))
