package seqgate;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Properties;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

/**
 * A producer with Kafka's own defaults, driven by lines on standard input.
 *
 * <p>Arguments: bootstrap, topic, then any number of property=value; {@code key.bytes} is one of its own, which gives each record a key
 * of so many bytes. Commands: {@code send N [PARTITION]}, {@code flush},
 * {@code close}, and with a transactional id {@code begin}, {@code commit}, {@code abort}. Answers: {@code ready}, {@code sent N},
 * {@code acked ID PARTITION OFFSET}, {@code failed ID EXCEPTION}, {@code flushed}, {@code begin done} or {@code begin failed EXCEPTION}
 * and so on, {@code closed}. The end of standard input ends it without closing anything.
 */
public final class Producer {
    public static void main(String[] args) throws Exception {
        String topic = args[1];
        Properties settings = new Properties();
        settings.put("bootstrap.servers", args[0]);
        settings.put("key.serializer", StringSerializer.class.getName());
        settings.put("value.serializer", StringSerializer.class.getName());
        for (int i = 2; i < args.length; i++) {
            String[] pair = args[i].split("=", 2);
            settings.put(pair[0], pair[1]);
        }
        Object keyBytes = settings.remove("key.bytes");
        String key = keyBytes == null ? null : "0123456789abcdef".repeat(Integer.parseInt((String) keyBytes) / 16);
        KafkaProducer<String, String> producer = new KafkaProducer<>(settings);
        if (settings.containsKey("transactional.id")) {
            producer.initTransactions();
        }
        say("ready");
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        int sent = 0;
        for (String line; (line = commands.readLine()) != null; ) {
            String[] words = line.trim().split(" ");
            switch (words[0]) {
                case "send": {
                    Integer partition = words.length > 2 ? Integer.valueOf(words[2]) : null;
                    for (int i = Integer.parseInt(words[1]); i > 0; i--) {
                        send(producer, new ProducerRecord<>(topic, partition, key, String.format("id-%06d", sent++)));
                    }
                    say("sent " + sent);
                    break;
                }
                case "flush":
                    producer.flush();
                    say("flushed");
                    break;
                case "begin":
                    attempt("begin", producer::beginTransaction);
                    break;
                case "commit":
                    attempt("commit", producer::commitTransaction);
                    break;
                case "abort":
                    attempt("abort", producer::abortTransaction);
                    break;
                case "close":
                    producer.close();
                    say("closed");
                    System.exit(0);
                    break;
                default:
                    say("unknown command " + words[0]);
            }
        }
        Runtime.getRuntime().halt(3);
    }

    private static void attempt(String command, Runnable operation) {
        try {
            operation.run();
            say(command + " done");
        } catch (RuntimeException refused) {
            say(command + " failed " + oneLine(refused));
        }
    }

    private static void send(KafkaProducer<String, String> producer, ProducerRecord<String, String> record) {
        // Some errors are both thrown and told.
        AtomicBoolean told = new AtomicBoolean();
        try {
            producer.send(record, (at, error) -> {
                if (error == null) {
                    say("acked " + record.value() + " " + at.partition() + " " + at.offset());
                } else if (!told.getAndSet(true)) {
                    say("failed " + record.value() + " " + oneLine(error));
                }
            });
        } catch (RuntimeException refused) {
            if (!told.getAndSet(true)) {
                say("failed " + record.value() + " " + oneLine(refused));
            }
        }
    }

    static String oneLine(Throwable error) {
        return error.toString().replace('\n', ' ');
    }

    static synchronized void say(String line) {
        System.out.println(line);
        System.out.flush();
    }
}
