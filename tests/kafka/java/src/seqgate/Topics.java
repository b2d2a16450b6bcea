package seqgate;

import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.TopicPartitionInfo;

/** Creates a topic and waits until each of its partitions has a leader. */
final class Topics {
    static void create(String bootstrap, String name, int partitions) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(List.of(new NewTopic(name, partitions, (short) 1))).all().get();
            while (!led(admin, name, partitions)) {
                Thread.sleep(20);
            }
        }
    }

    private static boolean led(Admin admin, String name, int partitions) throws Exception {
        try {
            List<TopicPartitionInfo> found =
                    admin.describeTopics(List.of(name)).allTopicNames().get().get(name).partitions();
            return found.size() == partitions && found.stream().allMatch(p -> p.leader() != null);
        } catch (java.util.concurrent.ExecutionException notYet) {
            return false;
        }
    }
}
