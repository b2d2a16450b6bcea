package seqgate;

import java.util.ArrayList;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitionReassignment;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.common.ElectionType;
import org.apache.kafka.common.Node;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionInfo;

/** Creates topics and has others lead their partitions. */
final class Topics {
    /** With as many copies as the brokers have by default; each partition has a leader when this returns. */
    static void create(String bootstrap, int partitions, List<String> names) throws Exception {
        create(bootstrap, partitions, names, Map.of());
    }

    /** The same with these settings, named as brokers name them. */
    static void create(String bootstrap, int partitions, List<String> names, Map<String, String> chosen)
            throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        List<NewTopic> topics = names.stream()
                .map(name -> new NewTopic(name, Optional.of(partitions), Optional.empty()).configs(chosen))
                .collect(Collectors.toList());
        try (Admin admin = Admin.create(settings)) {
            admin.createTopics(topics).all().get();
            waitForLeaders(admin, names, partitions);
        }
    }

    /** Puts the second replica of each partition first, and waits until it leads. */
    static void moveLeaders(String bootstrap, List<String> names) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        try (Admin admin = Admin.create(settings)) {
            Map<TopicPartition, Optional<NewPartitionReassignment>> turned = new HashMap<>();
            for (Map.Entry<String, List<TopicPartitionInfo>> topic : described(admin, names).entrySet()) {
                for (TopicPartitionInfo partition : topic.getValue()) {
                    List<Integer> replicas = partition.replicas().stream().map(Node::id).collect(Collectors.toList());
                    Collections.rotate(replicas, -1);
                    turned.put(new TopicPartition(topic.getKey(), partition.partition()),
                            Optional.of(new NewPartitionReassignment(replicas)));
                }
            }
            admin.alterPartitionReassignments(turned).all().get();
            for (Set<TopicPartition> left = turned.keySet(); !left.isEmpty(); left = notLedByFirst(admin, names)) {
                // It says for each partition whether there was anything to do; what counts is who leads.
                admin.electLeaders(ElectionType.PREFERRED, left).partitions().get();
                Thread.sleep(20);
            }
            Led.await(admin, turned.keySet());
        }
    }

    /** One partition on these brokers, led by the first of them when this returns. */
    static void place(String bootstrap, String name, List<Integer> brokers, Map<String, String> chosen) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", bootstrap);
        try (Admin admin = Admin.create(settings)) {
            NewTopic topic = new NewTopic(name, Map.of(0, brokers)).configs(chosen);
            admin.createTopics(List.of(topic)).all().get();
            waitForLeaders(admin, List.of(name), 1);
        }
    }

    private static Set<TopicPartition> notLedByFirst(Admin admin, List<String> names) throws Exception {
        return described(admin, names).entrySet().stream()
                .flatMap(topic -> topic.getValue().stream()
                        .filter(p -> p.leader() == null || p.leader().id() != p.replicas().get(0).id())
                        .map(p -> new TopicPartition(topic.getKey(), p.partition())))
                .collect(Collectors.toSet());
    }

    private static Map<String, List<TopicPartitionInfo>> described(Admin admin, List<String> names) throws Exception {
        return admin.describeTopics(names).allTopicNames().get().entrySet().stream()
                .collect(Collectors.toMap(Map.Entry::getKey, topic -> new ArrayList<>(topic.getValue().partitions())));
    }

    private static void waitForLeaders(Admin admin, List<String> names, int partitions) throws Exception {
        while (!haveLeaders(admin, names, partitions)) {
            Thread.sleep(20);
        }
        Led.await(admin, names.stream()
                .flatMap(name -> IntStream.range(0, partitions).mapToObj(at -> new TopicPartition(name, at)))
                .collect(Collectors.toList()));
    }

    private static boolean haveLeaders(Admin admin, List<String> names, int partitions) throws Exception {
        try {
            return described(admin, names).values().stream()
                    .allMatch(topic -> topic.size() == partitions && topic.stream().allMatch(p -> p.leader() != null));
        } catch (java.util.concurrent.ExecutionException notYet) {
            return false;
        }
    }
}
