package kafkabridge.worker;

import java.util.Map;
import java.util.Optional;
import kafkabridge.protocol.JobRequest;

/**
 * The job that a handler runs. All methods may be called from any thread until the handler returns;
 * later calls do nothing.
 *
 * @param <P> the payload
 */
public interface JobContext<P> {

  /** The input; null if the request has none and the handler's type allows that. */
  P payload();

  /** The whole request. */
  JobRequest request();

  /** The job's id. It is the same for every delivery, so it is an idempotency key. */
  default String correlationId() {
    return request().correlationId();
  }

  /** How many times a worker has picked up the job, from 1, as far as this worker knows. */
  int delivery();

  /** The headers of the request's record, as text, such as {@code traceparent}. */
  Map<String, String> headers();

  /** Report how much is done. At most two reports a second are sent, always the latest. */
  void progress(double completed);

  /**
   * Report how much is done, of how much.
   *
   * @param unit the unit of both numbers, such as {@code files}, or null
   */
  void progress(double completed, double total, String unit);

  /** Report a line for a person, beside the progress. */
  void message(String text);

  /** The id that this or an earlier delivery has set with {@link #externalId(String)}. */
  Optional<String> externalId();

  /** Publish the id of the job in the system that does the work. Each later event has it. */
  void externalId(String id);

  /**
   * What {@link #saveCheckpoint} saved last, in this or an earlier delivery, also on a worker in
   * another language; empty if nothing, or if it is not JSON.
   *
   * @param type such as a record, a {@code Map} or a {@code JsonNode}
   * @throws IllegalArgumentException it is JSON of another form
   */
  <T> Optional<T> checkpoint(Class<T> type);

  /**
   * Save how far the job is, for the delivery that continues it if this worker stops or dies. Save
   * what is done, after it is done. Returns at once; at most four events a second are sent, always
   * the latest.
   *
   * @param value anything that Jackson writes, of at most 4,000 bytes; null clears the checkpoint
   * @throws JobFailedException {@code checkpoint_not_serialisable} or {@code checkpoint_too_large};
   *     the checkpoint before is kept
   */
  void saveCheckpoint(Object value);

  /** Whether the job was asked to stop. Its thread is interrupted at the same time. */
  default boolean stopRequested() {
    return stopReason().isPresent();
  }

  /** Why the job was asked to stop. */
  Optional<StopReason> stopReason();

  /**
   * Return if the job may go on.
   *
   * @throws JobStoppedException it was asked to stop
   */
  default void throwIfStopped() {
    stopReason()
        .ifPresent(
            reason -> {
              throw new JobStoppedException(reason);
            });
  }
}
