package seqgate;

import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.ProducerState;
import org.apache.kafka.common.TopicPartition;

/** Prints {@code producer ID EPOCH LAST_SEQUENCE} for each producer that the leader of a partition remembers. */
final class Known {
    static void print(String bootstrap, String topic, int partition) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        TopicPartition at = new TopicPartition(topic, partition);
        try (Admin admin = Admin.create(settings)) {
            for (ProducerState known :
                    admin.describeProducers(List.of(at)).partitionResult(at).get().activeProducers()) {
                Producer.say("producer " + known.producerId() + " " + known.producerEpoch() + " " + known.lastSequence());
            }
        }
    }
}
