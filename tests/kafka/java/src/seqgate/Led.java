package seqgate;

import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;

/**
 * Waits for leaders that serve.
 *
 * <p>A broker knows from the cluster's metadata that it leads a partition before it does, and whatever has a copy says which
 * producers it knows. Where a log ends, only a leader says; others are asked again.
 */
final class Led {
    static void await(String bootstrap, String topic, int partition) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        try (Admin admin = Admin.create(settings)) {
            await(admin, List.of(new TopicPartition(topic, partition)));
        }
    }

    static void await(Admin admin, Collection<TopicPartition> partitions) throws Exception {
        Map<TopicPartition, OffsetSpec> ends =
                partitions.stream().collect(Collectors.toMap(Function.identity(), partition -> OffsetSpec.latest()));
        admin.listOffsets(ends).all().get();
    }
}
