package seqgate;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * The only member of a group, which reads along whatever happens, and commits how far it came.
 *
 * <p>Arguments: bootstrap, group, topics. Prints {@code ready}, {@code record TOPIC PARTITION OFFSET VALUE}, {@code trouble EXCEPTION},
 * and after a line on standard input and all that was committed until then, {@code closed}.
 */
public final class Follower {
    private static volatile boolean ending;

    public static void main(String[] args) throws Exception {
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("group.id", args[1]);
        settings.put("client.id", args[1]);
        settings.put("key.deserializer", StringDeserializer.class.getName());
        settings.put("value.deserializer", StringDeserializer.class.getName());
        settings.put("isolation.level", "read_committed");
        settings.put("auto.offset.reset", "earliest");
        settings.put("enable.auto.commit", "false");
        // A member whose joining was cut off is missed soon, and does not keep itself waiting under its next name.
        settings.put("session.timeout.ms", "10000");
        settings.put("heartbeat.interval.ms", "1000");
        Thread commands = new Thread(Follower::obey);
        commands.setDaemon(true);
        commands.start();
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(settings)) {
            consumer.subscribe(List.copyOf(Arrays.asList(args).subList(2, args.length)));
            Producer.say("ready");
            // What is asked after the last look is read before the end.
            for (boolean last = false; !last; ) {
                last = ending && step(consumer, true);
                step(consumer, false);
            }
        }
        Producer.say("closed");
        System.exit(0);
    }

    /** Reads on, or says whether nothing is left; trouble passes. */
    private static boolean step(KafkaConsumer<String, String> consumer, boolean look) {
        try {
            if (look) {
                return Group.atEnd(consumer);
            }
            boolean any = false;
            for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofMillis(200))) {
                Producer.say("record " + record.topic() + " " + record.partition() + " " + record.offset() + " "
                        + record.value());
                any = true;
            }
            if (any) {
                consumer.commitSync();
            }
        } catch (KafkaException trouble) {
            Producer.say("trouble " + Producer.oneLine(trouble));
        }
        return false;
    }

    private static void obey() {
        try {
            if (new BufferedReader(new InputStreamReader(System.in)).readLine() != null) {
                ending = true;
                return;
            }
        } catch (java.io.IOException gone) {
            // The same as its end.
        }
        Runtime.getRuntime().halt(3);
    }
}
