package seqgate;

import java.time.Duration;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Reads as a member of a group what is committed in a topic, and commits how far it came. */
final class Group {
    /** Prints {@code record PARTITION OFFSET VALUE} for at least {@code count} records and all that stands behind them. */
    static void print(String bootstrap, String topic, String group, int count) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("group.id", group);
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("isolation.level", "read_committed");
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(List.of(topic));
            // Markers may be written a moment after a commit has returned: the end is that of this moment.
            for (int seen = 0; seen < count || !atEnd(consumer); ) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    Producer.say("record " + record.partition() + " " + record.offset() + " " + record.value());
                    seen++;
                }
            }
            consumer.commitSync();
        }
    }

    /** Whether it has partitions, and has read all that is committed in them. */
    static boolean atEnd(KafkaConsumer<String, String> consumer) {
        return !consumer.assignment().isEmpty()
                && consumer.endOffsets(consumer.assignment()).entrySet().stream()
                        .allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
    }
}
