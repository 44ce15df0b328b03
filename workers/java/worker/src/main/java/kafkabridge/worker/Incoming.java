package kafkabridge.worker;

import java.nio.charset.StandardCharsets;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import kafkabridge.protocol.Encoding;
import kafkabridge.protocol.JobRequest;
import kafkabridge.protocol.MessageCodec;
import kafkabridge.protocol.UnreadableMessageException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.header.Header;

/**
 * A request that was read, and its record.
 *
 * @param encoding that of the request, and so that of its events
 * @param trace the headers that all its events carry
 */
record Incoming(
    JobRequest request,
    Encoding encoding,
    List<Header> trace,
    ConsumerRecord<byte[], byte[]> record) {

  static Incoming of(ConsumerRecord<byte[], byte[]> record) throws UnreadableMessageException {
    return new Incoming(
        MessageCodec.JOB_REQUEST.decode(record.value()),
        Encoding.of(record.value()),
        TraceHeaders.of(record.headers()),
        record);
  }

  Map<String, String> headers() {
    Map<String, String> headers = new LinkedHashMap<>();
    for (Header each : record.headers()) {
      if (each.value() != null) {
        headers.put(each.key(), new String(each.value(), StandardCharsets.UTF_8));
      }
    }
    return headers;
  }
}
