package seqgate;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Prints {@code record PARTITION OFFSET VALUE} for all that stands in a topic. */
final class ReadLog {
    /** What is committed, once no transaction is open any more. */
    static void printCommitted(String bootstrap, String topic) throws Exception {
        Map<TopicPartition, Long> all;
        do {
            Thread.sleep(20);
            try (KafkaConsumer<String, String> consumer = consumer(bootstrap, "read_uncommitted")) {
                all = consumer.endOffsets(partitions(consumer, topic));
            }
        } while (!print(bootstrap, topic, "read_committed", all));
    }

    /** All, committed or not. */
    static void printAll(String bootstrap, String topic) {
        print(bootstrap, topic, "read_uncommitted", null);
    }

    /** Prints nothing and says so when less than {@code wanted} can be read. */
    private static boolean print(
            String bootstrap, String topic, String isolation, Map<TopicPartition, Long> wanted) {
        try (KafkaConsumer<String, String> consumer = consumer(bootstrap, isolation)) {
            List<TopicPartition> partitions = partitions(consumer, topic);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            if (wanted != null && !wanted.equals(ends)) {
                return false;
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                    Producer.say("record " + record.partition() + " " + record.offset() + " " + record.value());
                }
            }
            return true;
        }
    }

    private static List<TopicPartition> partitions(KafkaConsumer<String, String> consumer, String topic) {
        return consumer.partitionsFor(topic).stream()
                .map(p -> new TopicPartition(topic, p.partition()))
                .collect(Collectors.toList());
    }

    private static KafkaConsumer<String, String> consumer(String bootstrap, String isolation) {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("isolation.level", isolation);
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(settings);
    }
}
