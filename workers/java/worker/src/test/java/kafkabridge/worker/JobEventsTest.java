package kafkabridge.worker;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import kafkabridge.protocol.Encoding;
import kafkabridge.protocol.JobRequest;
import kafkabridge.protocol.JobState;
import kafkabridge.protocol.MessageCodec;
import kafkabridge.protocol.Progress;
import kafkabridge.protocol.StatusEvent;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.MockProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.junit.jupiter.api.Test;

class JobEventsTest {
  private final MockProducer<byte[], byte[]> producer =
      new MockProducer<>(true, null, new ByteArraySerializer(), new ByteArraySerializer());
  private final Publisher publisher = new Publisher(producer, "dead-letters");
  private final AtomicBoolean mayPublish = new AtomicBoolean(true);
  private final AtomicLong now = new AtomicLong();

  private JobEvents events(Encoding encoding) throws Exception {
    JobRequest request =
        new JobRequest(
            "6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001",
            1,
            "t",
            null,
            null,
            "responses",
            Instant.EPOCH,
            null,
            null,
            10_000,
            null,
            Map.of());
    byte[] value = MessageCodec.JOB_REQUEST.encode(request, encoding);
    ConsumerRecord<byte[], byte[]> record =
        new ConsumerRecord<>(
            "requests", 0, 0, request.correlationId().getBytes(StandardCharsets.UTF_8), value);
    record.headers().add("traceparent", "00-1-2-01".getBytes(StandardCharsets.UTF_8));
    return new JobEvents(
        Incoming.of(record), "worker", 1, 0, null, "[7]", publisher, mayPublish::get, now::get);
  }

  private List<StatusEvent> published() throws Exception {
    List<StatusEvent> events = new ArrayList<>();
    for (ProducerRecord<byte[], byte[]> each : producer.history()) {
      events.add(MessageCodec.STATUS_EVENT.decode(each.value()));
    }
    return events;
  }

  @Test
  void theSequenceGrowsAndTheLastReportIsSentBeforeTheEnd() throws Exception {
    JobEvents events = events(Encoding.JSON);
    publisher.publish(events.accepted());
    events.report(new Progress(1, 3.0, "steps"), null);
    events.report(new Progress(3, 3.0, "steps"), "done");
    publisher.publish(events.last(Report.succeeded(null)));
    List<StatusEvent> found = published();
    assertEquals(
        List.of(JobState.ACCEPTED, JobState.RUNNING, JobState.SUCCEEDED),
        found.stream().map(StatusEvent::state).toList());
    assertEquals(List.of(0L, 1L, 2L), found.stream().map(StatusEvent::sequence).toList());
    assertEquals(new Progress(3, 3.0, "steps"), found.get(1).progress());
    assertEquals("done", found.get(1).message());
    assertNull(found.get(2).progress());
  }

  @Test
  void eventsAreInTheEncodingOfTheRequestAndCarryItsTrace() throws Exception {
    for (Encoding encoding : Encoding.values()) {
      ProducerRecord<byte[], byte[]> record = events(encoding).accepted();
      assertEquals(encoding, Encoding.of(record.value()));
      byte[] type = record.headers().lastHeader("content-type").value();
      assertEquals(encoding.contentType(), new String(type, StandardCharsets.UTF_8));
      byte[] parent = record.headers().lastHeader("traceparent").value();
      assertEquals("00-1-2-01", new String(parent, StandardCharsets.UTF_8));
    }
  }

  @Test
  void aWorkerThatMayNotPublishIsSilent() throws Exception {
    JobEvents events = events(Encoding.AVRO);
    mayPublish.set(false);
    events.tell();
    events.externalId("batch-1");
    assertTrue(producer.history().isEmpty());
    mayPublish.set(true);
    events.tell();
    assertEquals("batch-1", published().get(0).externalId());
  }

  @Test
  void heartbeatsComeAfterHalfAnInterval() throws Exception {
    JobEvents events = events(Encoding.AVRO);
    now.addAndGet(4_999_000_000L);
    events.heartbeat();
    assertTrue(producer.history().isEmpty());
    now.addAndGet(1_000_000);
    events.heartbeat();
    assertEquals(JobState.RUNNING, published().get(0).state());
  }

  @Test
  void reportsAreSentTwiceASecond() throws Exception {
    JobEvents events = events(Encoding.AVRO);
    for (int done = 1; done <= 10; done++) {
      now.addAndGet(100_000_000);
      events.report(new Progress(done, 10.0, null), null);
    }
    assertEquals(
        List.of(5.0, 10.0), published().stream().map(each -> each.progress().completed()).toList());
  }

  @Test
  void aCheckpointIsSentAtOnceAndRepeatedUntilTheEnd() throws Exception {
    JobEvents events = events(Encoding.AVRO);
    publisher.publish(events.accepted());
    for (int page = 8; page <= 20; page++) {
      events.saveCheckpoint("[" + page + "]");
    }
    events.heartbeat();
    now.addAndGet(250_000_000);
    events.heartbeat();
    events.saveCheckpoint("null");
    publisher.publish(events.last(Report.succeeded(null)));
    assertEquals(
        List.of("[7]", "[8]", "[20]", "null", "none"),
        published().stream()
            .map(each -> each.attributes().getOrDefault("checkpoint", "none"))
            .toList());
  }

  @Test
  void aReleasedJobTakesItsCheckpointAlong() throws Exception {
    JobEvents events = events(Encoding.JSON);
    publisher.publish(events.last(new Report(JobState.RELEASED, "stopping", null, null, Map.of())));
    assertEquals(Map.of("checkpoint", "[7]"), published().get(0).attributes());
  }

  @Test
  void nothingFollowsTheEnd() throws Exception {
    JobEvents events = events(Encoding.AVRO);
    publisher.publish(events.last(Report.cancelled("cleared")));
    events.report(new Progress(1, null, null), "late");
    events.tell();
    assertEquals(1, producer.history().size());
  }

  @Test
  void heartbeatsSayThatTheJobWasAskedToStop() throws Exception {
    JobEvents events = events(Encoding.AVRO);
    events.stopping("it was cancelled, and still runs");
    events.tell();
    assertEquals("it was cancelled, and still runs", published().get(0).message());
  }
}
