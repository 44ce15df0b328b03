package kafkabridge.worker;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.function.BooleanSupplier;
import java.util.function.LongSupplier;
import kafkabridge.protocol.Checkpoint;
import kafkabridge.protocol.Encoding;
import kafkabridge.protocol.JobRequest;
import kafkabridge.protocol.JobState;
import kafkabridge.protocol.MessageCodec;
import kafkabridge.protocol.Progress;
import kafkabridge.protocol.StatusEvent;
import kafkabridge.protocol.UnreadableMessageException;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.header.Header;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Publishes the events of one delivery of a job. May be used by any thread: a lock keeps the
 * sequence.
 */
final class JobEvents {
  private static final Logger LOG = LoggerFactory.getLogger(JobEvents.class);
  private static final long REPORT_NANOS = 500_000_000;
  private static final long CHECKPOINT_NANOS = 250_000_000;

  private final JobRequest request;
  private final Encoding encoding;
  private final List<Header> trace;
  private final String workerId;
  private final int delivery;
  private final Publisher publisher;
  private final BooleanSupplier mayPublish;
  private final LongSupplier nanoTime;
  private final byte[] key;
  private final long heartbeatNanos;

  private long sequence;
  private long sentAt;
  private String externalId;
  private String checkpoint;
  private boolean isCheckpointUnsent;
  private long checkpointSentAt;
  private Progress progress;
  private String message;
  private boolean hasReport;
  private String stopping;
  private boolean isClosed;

  /**
   * The events of a delivery.
   *
   * @param sequence of the first event
   * @param externalId what an earlier delivery has set, or null
   * @param checkpoint what an earlier delivery has saved, or null
   * @param mayPublish whether the worker certainly owns the job
   */
  JobEvents(
      Incoming incoming,
      String workerId,
      int delivery,
      long sequence,
      String externalId,
      String checkpoint,
      Publisher publisher,
      BooleanSupplier mayPublish,
      LongSupplier nanoTime) {
    this.request = incoming.request();
    this.encoding = incoming.encoding();
    this.trace = incoming.trace();
    this.workerId = workerId;
    this.delivery = delivery;
    this.sequence = sequence;
    this.externalId = externalId;
    this.checkpoint = checkpoint;
    this.publisher = publisher;
    this.mayPublish = mayPublish;
    this.nanoTime = nanoTime;
    this.sentAt = nanoTime.getAsLong();
    this.checkpointSentAt = sentAt - CHECKPOINT_NANOS;
    this.key = request.correlationId().getBytes(StandardCharsets.UTF_8);
    // Half of the interval, looked at in each quarter (Heartbeats): no gap is longer than three.
    this.heartbeatNanos = request.heartbeatIntervalMs() * 1_000_000L / 2;
  }

  int delivery() {
    return delivery;
  }

  /** The record of ACCEPTED. */
  ProducerRecord<byte[], byte[]> accepted() {
    return record(new Report(JobState.ACCEPTED, null, null, null, Map.of()));
  }

  /**
   * The record of the last event; nothing follows it. A report that was not sent is published.
   *
   * @throws UnreadableMessageException the result is declared as JSON, and is not
   */
  synchronized ProducerRecord<byte[], byte[]> last(Report report)
      throws UnreadableMessageException {
    if ((hasReport || isCheckpointUnsent) && !isClosed) {
      publishReport();
    }
    ProducerRecord<byte[], byte[]> record = encode(event(report));
    isClosed = true;
    return record;
  }

  /** Publish RUNNING, if the last event is not a recent one. */
  synchronized void heartbeat() {
    boolean isDue = heartbeatNanos > 0 && nanoTime.getAsLong() - sentAt >= heartbeatNanos;
    if (isDue || isReportDue() || isCheckpointDue()) {
      tell();
    }
  }

  /** Publish RUNNING now. */
  synchronized void tell() {
    if (!isClosed && mayPublish.getAsBoolean()) {
      publishReport();
    }
  }

  private boolean isCheckpointDue() {
    return isCheckpointUnsent && nanoTime.getAsLong() - checkpointSentAt >= CHECKPOINT_NANOS;
  }

  private boolean isReportDue() {
    return hasReport && nanoTime.getAsLong() - sentAt >= REPORT_NANOS;
  }

  /** Note a report; it is published now, or with the next event if the last one is recent. */
  synchronized void report(Progress newProgress, String newMessage) {
    progress = newProgress == null ? progress : newProgress;
    message = newMessage == null ? message : Texts.cut(newMessage, Texts.MESSAGE_BYTES);
    hasReport = true;
    if (isReportDue()) {
      tell();
    }
  }

  synchronized void externalId(String id) {
    externalId = Texts.cut(id, Texts.MESSAGE_BYTES);
    tell();
  }

  /** Publish a checkpoint: now, or with the next event. */
  synchronized void saveCheckpoint(String text) {
    if (text.equals(checkpoint)) {
      return;
    }
    checkpoint = text;
    isCheckpointUnsent = true;
    if (isCheckpointDue()) {
      tell();
    }
  }

  /** What was saved last, or null. */
  synchronized String checkpoint() {
    return checkpoint;
  }

  /** Forget a checkpoint that the topic does not take: heartbeats must go on. */
  private synchronized void dropCheckpoint(String saved) {
    if (saved.equals(checkpoint)) {
      checkpoint = null;
      isCheckpointUnsent = false;
      LOG.warn("A checkpoint is too large for the response topic, and was not saved");
    }
  }

  /** Publish nothing more. */
  synchronized void close() {
    isClosed = true;
  }

  synchronized String externalId() {
    return externalId;
  }

  /** From now on, heartbeats say that the job was asked to stop. */
  synchronized void stopping(String text) {
    stopping = text;
  }

  private void publishReport() {
    Report report = new Report(JobState.RUNNING, runningMessage(), null, null, Map.of());
    String saved = checkpoint;
    publisher
        .publish(record(report))
        .whenComplete(
            (done, error) -> {
              if (saved != null && error instanceof RecordTooLargeException) {
                dropCheckpoint(saved);
              }
            });
    hasReport = false;
    progress = null;
    message = null;
  }

  private String runningMessage() {
    if (stopping == null) {
      return message;
    }
    return message == null ? stopping : message + " (" + stopping + ")";
  }

  private synchronized ProducerRecord<byte[], byte[]> record(Report report) {
    try {
      return encode(event(report));
    } catch (UnreadableMessageException error) {
      throw new IllegalStateException("an event without a result can be written", error);
    }
  }

  private ProducerRecord<byte[], byte[]> encode(StatusEvent event)
      throws UnreadableMessageException {
    byte[] value = MessageCodec.STATUS_EVENT.encode(event, encoding);
    sequence++;
    sentAt = nanoTime.getAsLong();
    return Publisher.event(request.responseTopic(), key, value, encoding, trace);
  }

  private StatusEvent event(Report report) {
    boolean isOpen = !report.state().isTerminal();
    if (isOpen && isCheckpointUnsent) {
      isCheckpointUnsent = false;
      checkpointSentAt = nanoTime.getAsLong();
    }
    return new StatusEvent(
        request.correlationId(),
        UUID.randomUUID().toString(),
        delivery,
        sequence,
        report.state(),
        Instant.now(),
        workerId,
        Texts.cut(report.message(), Texts.MESSAGE_BYTES),
        report.state() == JobState.RUNNING ? progress : null,
        externalId,
        report.result(),
        null,
        report.error(),
        isOpen ? Checkpoint.attributes(checkpoint) : report.attributes());
  }
}
