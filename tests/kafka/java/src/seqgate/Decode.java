package seqgate;

import java.nio.ByteBuffer;
import java.util.HexFormat;
import org.apache.kafka.common.message.ProduceRequestData;
import org.apache.kafka.common.message.ProduceResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Records;
import org.apache.kafka.common.requests.RequestHeader;
import org.apache.kafka.common.requests.ResponseHeader;

/**
 * Reads Produce frames as Kafka's own code does, to the last byte, and sees whether writing them gives the same bytes.
 *
 * <p>Needs Kafka 4.3 (its classes have moved since 3.9), which knows all the versions of older releases that are in use.
 * Commands: {@code request HEX} and {@code response VERSION HEX}, whole frames without their length.
 */
public final class Decode {
    public static void main(String[] args) throws Exception {
        Tools.obey(words -> {
            if (words[0].equals("request")) {
                request(words[1]);
            } else {
                response(Short.parseShort(words[1]), words[2]);
            }
        });
    }

    static void request(String hex) {
        ByteBuffer frame = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
        RequestHeader header = RequestHeader.parse(frame);
        if (header.apiKey() != ApiKeys.PRODUCE) {
            throw new IllegalArgumentException("a request of " + header.apiKey());
        }
        ByteBuffer body = frame.slice();
        ProduceRequestData data = new ProduceRequestData(new ByteBufferAccessor(frame), header.apiVersion());
        StringBuilder batches = new StringBuilder();
        data.topicData().forEach(topic -> topic.partitionData().forEach(partition -> {
            for (Object each : ((Records) partition.records()).batches()) {
                MutableRecordBatch batch = (MutableRecordBatch) each;
                batch.ensureValid();
                batches.append(" batch=").append(partition.index())
                        .append('/').append(batch.producerId())
                        .append('/').append(batch.producerEpoch())
                        .append('/').append(batch.baseSequence())
                        .append('/').append(batch.lastSequence());
            }
        }));
        int left = frame.remaining();
        boolean same = MessageUtil.toByteBufferAccessor(data, header.apiVersion()).buffer().equals(body);
        Producer.say("ok version=" + header.apiVersion() + " correlation=" + header.correlationId() + " left=" + left
                + " same=" + same + batches + " " + data);
    }

    static void response(short version, String hex) {
        ByteBuffer frame = ByteBuffer.wrap(HexFormat.of().parseHex(hex));
        ResponseHeader header = ResponseHeader.parse(frame, ApiKeys.PRODUCE.responseHeaderVersion(version));
        ByteBuffer body = frame.slice();
        ProduceResponseData data = new ProduceResponseData(new ByteBufferAccessor(frame), version);
        int left = frame.remaining();
        boolean same = MessageUtil.toByteBufferAccessor(data, version).buffer().equals(body);
        Producer.say("ok version=" + version + " correlation=" + header.correlationId() + " left=" + left + " same=" + same
                + " " + data);
    }
}
