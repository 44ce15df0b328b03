package kafkabridge.protocol;

import java.time.Instant;
import java.util.Map;

/**
 * One job, asked for by Airflow.
 *
 * @param correlationId the job; the idempotency key
 * @param attempt counts the submissions of one task instance, from 1
 * @param jobType what to do, such as {@code files.audit}
 * @param payload the input, or null
 * @param payloadRef the input, if it is stored elsewhere, or null
 * @param responseTopic where the worker answers
 * @param expiresAt do not start after this, or null
 * @param deadline stop by this, or null
 * @param heartbeatIntervalMs at least one event in this many milliseconds; 0: no heartbeats wanted
 * @param task the Airflow task, or null
 * @param attributes facts of later versions
 */
public record JobRequest(
    String correlationId,
    int attempt,
    String jobType,
    Content payload,
    Reference payloadRef,
    String responseTopic,
    Instant createdAt,
    Instant expiresAt,
    Instant deadline,
    int heartbeatIntervalMs,
    Task task,
    Map<String, String> attributes) {

  public JobRequest {
    attributes = Map.copyOf(attributes);
  }
}
