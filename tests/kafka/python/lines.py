"""The lines that drive a producer on standard input, and those that it answers: see Producer.java."""

import os
import sys
import threading

# Where the client's own choice puts a record.
ANY_PARTITION = -1

_saying = threading.Lock()


def say(line):
    with _saying:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def acked(record_id, partition, offset):
    say(f"acked {record_id} {partition} {offset}")


def failed(record_id, error):
    say("failed {} {}".format(record_id, repr(error).replace("\n", " ")))


def arguments():
    """Bootstrap, topic, and settings by the names that Kafka's own producer has for them."""
    settings = dict(pair.split("=", 1) for pair in sys.argv[3:])
    return sys.argv[1], sys.argv[2], settings


def obey(send, flush, close):
    """Reads commands until ``close``; the end of standard input ends the process without closing anything."""
    say("ready")
    sent = 0
    for line in sys.stdin:
        words = line.split()
        if words[0] == "send":
            partition = int(words[2]) if len(words) > 2 else ANY_PARTITION
            for _ in range(int(words[1])):
                send(f"id-{sent:06d}", partition)
                sent += 1
            say(f"sent {sent}")
        elif words[0] == "flush":
            flush()
            say("flushed")
        elif words[0] == "close":
            close()
            say("closed")
            os._exit(0)
        else:
            say(f"unknown command {words[0]}")
    os._exit(3)
