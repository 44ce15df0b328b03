package kafkabridge.protocol;

import java.time.Instant;
import java.util.Map;

/**
 * One thing that a worker says of a job. Everything after {@code workerId} may be null, except the
 * attributes.
 *
 * @param eventId kept if the event is published again
 * @param delivery how many times a worker has picked up the job, from 1
 * @param sequence from 0, grows within one delivery
 */
public record StatusEvent(
    String correlationId,
    String eventId,
    int delivery,
    long sequence,
    JobState state,
    Instant occurredAt,
    String workerId,
    String message,
    Progress progress,
    String externalId,
    Content result,
    Reference resultRef,
    JobFailure error,
    Map<String, String> attributes) {

  public StatusEvent {
    attributes = Map.copyOf(attributes);
  }
}
