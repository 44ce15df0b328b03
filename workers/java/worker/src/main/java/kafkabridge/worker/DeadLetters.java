package kafkabridge.worker;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;
import kafkabridge.protocol.Encoding;
import kafkabridge.protocol.ErrorType;
import kafkabridge.protocol.JobFailure;
import kafkabridge.protocol.JobState;
import kafkabridge.protocol.MessageCodec;
import kafkabridge.protocol.StatusEvent;
import kafkabridge.protocol.UnreadableMessageException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Requests that cannot be read or answered. */
final class DeadLetters {
  private static final Logger LOG = LoggerFactory.getLogger(DeadLetters.class);

  private final Publisher publisher;
  private final Delivery delivery;
  private final LedgerReader topics;
  private final Membership membership;
  private final String workerId;

  DeadLetters(
      Publisher publisher,
      Delivery delivery,
      LedgerReader topics,
      Membership membership,
      String workerId) {
    this.publisher = publisher;
    this.delivery = delivery;
    this.topics = topics;
    this.membership = membership;
    this.workerId = workerId;
  }

  /** Write a record to the dead-letter topic; call a function when it is there. */
  void write(ConsumerRecord<byte[], byte[]> record, Throwable error, Runnable onDone) {
    String reason = Texts.cut(String.valueOf(error.getMessage()), Texts.ERROR_BYTES);
    LOG.warn(
        "{}-{}@{} goes to the dead-letter topic: {}",
        record.topic(),
        record.partition(),
        record.offset(),
        Texts.line(reason));
    delivery.deliver(
        () -> publisher.deadLetter(record, error.getClass().getName(), reason),
        membership::isSure,
        () -> true,
        onDone,
        refusal ->
            LOG.error("The dead-letter topic refuses a record; its offset is kept", refusal));
  }

  /** Write a request that cannot be read, and tell its task, if it is known. */
  void unreadable(
      ConsumerRecord<byte[], byte[]> record, UnreadableMessageException error, Runnable onDone) {
    String reason = error.getMessage();
    write(
        record,
        error,
        () -> {
          Header topic = record.headers().lastHeader("kafka_replyTopic");
          if (!CorrelationId.isValid(record.key()) || topic == null || topic.value() == null) {
            onDone.run();
            return;
          }
          answer(record, new String(topic.value(), StandardCharsets.UTF_8), reason, onDone);
        });
  }

  private void answer(
      ConsumerRecord<byte[], byte[]> record, String topic, String reason, Runnable onDone) {
    ProducerRecord<byte[], byte[]> event = event(record, topic, reason);
    delivery.deliver(
        () ->
            topics
                .exists(topic)
                .exceptionally(error -> false)
                .thenCompose(
                    exists ->
                        exists
                            ? publisher.publish(event)
                            : CompletableFuture.completedFuture(null)),
        membership::isSure,
        () -> true,
        onDone,
        refused -> onDone.run());
  }

  private ProducerRecord<byte[], byte[]> event(
      ConsumerRecord<byte[], byte[]> record, String topic, String reason) {
    Encoding encoding = encoding(record.value());
    String message = Texts.cut("the request cannot be read: " + reason, Texts.ERROR_BYTES);
    StatusEvent event =
        new StatusEvent(
            CorrelationId.of(record.key()),
            UUID.randomUUID().toString(),
            1,
            0,
            JobState.FAILED,
            Instant.now(),
            workerId,
            null,
            null,
            null,
            null,
            null,
            new JobFailure(ErrorType.UNREADABLE, message, null, false),
            Map.of());
    List<Header> trace = TraceHeaders.of(record.headers());
    try {
      byte[] value = MessageCodec.STATUS_EVENT.encode(event, encoding);
      return Publisher.event(topic, record.key(), value, encoding, trace);
    } catch (UnreadableMessageException impossible) {
      throw new IllegalStateException("an event without a result can be written", impossible);
    }
  }

  private static Encoding encoding(byte[] value) {
    try {
      return Encoding.of(value);
    } catch (UnreadableMessageException neither) {
      return Encoding.AVRO;
    }
  }
}
