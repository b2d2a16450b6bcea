package seqgate;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.apache.kafka.common.acl.AclOperation;

/**
 * What tests ask of Kafka's own classes, in one process that stays, because a Java start costs a second.
 *
 * <p>Commands on standard input: {@code topics BOOTSTRAP PARTITIONS NAME...}, {@code topic BOOTSTRAP NAME PARTITIONS SETTING=VALUE...},
 * {@code place BOOTSTRAP NAME BROKER,... SETTING=VALUE...}, {@code read BOOTSTRAP NAME}, {@code committed BOOTSTRAP NAME},
 * {@code group BOOTSTRAP NAME GROUP COUNT}, {@code known BOOTSTRAP NAME PARTITION},
 * {@code move BOOTSTRAP NAME...}, {@code allow BOOTSTRAP PRINCIPAL OPERATION}. Each prints its lines and then {@code done} or {@code error TEXT}.
 */
public final class Tools {
    interface Command {
        void run(String[] words) throws Exception;
    }

    public static void main(String[] args) throws Exception {
        obey(words -> {
            switch (words[0]) {
                case "topics":
                    Topics.create(words[1], Integer.parseInt(words[2]), from(3, words));
                    break;
                case "topic":
                    Topics.create(words[1], Integer.parseInt(words[3]), List.of(words[2]), settings(from(4, words)));
                    break;
                case "place":
                    List<Integer> brokers =
                            Arrays.stream(words[3].split(",")).map(Integer::valueOf).collect(Collectors.toList());
                    Topics.place(words[1], words[2], brokers, settings(from(4, words)));
                    break;
                case "read":
                    ReadLog.printAll(words[1], words[2]);
                    break;
                case "committed":
                    ReadLog.printCommitted(words[1], words[2]);
                    break;
                case "group":
                    Group.print(words[1], words[2], words[3], Integer.parseInt(words[4]));
                    break;
                case "known":
                    Known.print(words[1], words[2], Integer.parseInt(words[3]));
                    break;
                case "led":
                    Led.await(words[1], words[2], Integer.parseInt(words[3]));
                    break;
                case "move":
                    Topics.moveLeaders(words[1], from(2, words));
                    break;
                case "allow":
                    Rights.allow(words[1], words[2], AclOperation.fromString(words[3]));
                    break;
                default:
                    throw new IllegalArgumentException("unknown command " + words[0]);
            }
        });
    }

    private static Map<String, String> settings(List<String> pairs) {
        return pairs.stream()
                .map(pair -> pair.split("=", 2))
                .collect(Collectors.toMap(pair -> pair[0], pair -> pair[1]));
    }

    private static List<String> from(int first, String[] words) {
        return Arrays.asList(words).subList(first, words.length);
    }

    static void obey(Command command) throws Exception {
        Producer.say("ready");
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        for (String line; (line = commands.readLine()) != null; ) {
            try {
                command.run(line.trim().split(" "));
                Producer.say("done");
            } catch (Exception | Error failed) {
                failed.printStackTrace();
                Producer.say("error " + Producer.oneLine(failed));
            }
        }
        Runtime.getRuntime().halt(0);
    }
}
