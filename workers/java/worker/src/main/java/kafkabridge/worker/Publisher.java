package kafkabridge.worker;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import kafkabridge.protocol.Encoding;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;

/** Publishes records. May be used by any thread. */
final class Publisher implements AutoCloseable {
  private static final String DEAD_LETTER = "kafka_dlt-";

  private final Producer<byte[], byte[]> producer;
  private final String deadLetterTopic;

  Publisher(Producer<byte[], byte[]> producer, String deadLetterTopic) {
    this.producer = producer;
    this.deadLetterTopic = deadLetterTopic;
  }

  /** The record of a status event. */
  static ProducerRecord<byte[], byte[]> event(
      String topic, byte[] key, byte[] value, Encoding encoding, List<Header> trace) {
    List<Header> headers = new ArrayList<>(trace);
    headers.add(header("content-type", text(encoding.contentType())));
    headers.add(header("kafka_correlationId", key));
    return new ProducerRecord<>(topic, null, key, value, headers);
  }

  /** Publish a record; the future completes when the brokers have it, or with an exception. */
  CompletableFuture<Void> publish(ProducerRecord<byte[], byte[]> record) {
    CompletableFuture<Void> future = new CompletableFuture<>();
    try {
      producer.send(
          record,
          (metadata, error) -> {
            if (error == null) {
              future.complete(null);
            } else {
              future.completeExceptionally(error);
            }
          });
    } catch (KafkaException | IllegalStateException error) {
      future.completeExceptionally(error);
    }
    return future;
  }

  /** Publish a record, untouched, with headers that say where it was and why it is here. */
  CompletableFuture<Void> deadLetter(
      ConsumerRecord<byte[], byte[]> record, String errorClass, String reason) {
    List<Header> headers = new ArrayList<>(List.of(record.headers().toArray()));
    headers.add(header(DEAD_LETTER + "original-topic", text(record.topic())));
    headers.add(header(DEAD_LETTER + "original-partition", bytes(record.partition())));
    headers.add(header(DEAD_LETTER + "original-offset", bytes(record.offset())));
    headers.add(header(DEAD_LETTER + "original-timestamp", bytes(record.timestamp())));
    headers.add(header(DEAD_LETTER + "exception-fqcn", text(errorClass)));
    headers.add(header(DEAD_LETTER + "exception-message", text(reason)));
    return publish(
        new ProducerRecord<>(deadLetterTopic, null, record.key(), record.value(), headers));
  }

  private static Header header(String name, byte[] value) {
    return new RecordHeader(name, value);
  }

  private static byte[] text(String value) {
    return value.getBytes(StandardCharsets.UTF_8);
  }

  private static byte[] bytes(int value) {
    return ByteBuffer.allocate(Integer.BYTES).putInt(value).array();
  }

  private static byte[] bytes(long value) {
    return ByteBuffer.allocate(Long.BYTES).putLong(value).array();
  }

  @Override
  public void close() {
    producer.close(Duration.ofSeconds(5));
  }
}
