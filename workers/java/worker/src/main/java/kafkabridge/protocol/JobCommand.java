package kafkabridge.protocol;

import java.time.Instant;
import java.util.Map;

/**
 * Something that Airflow or a person tells the worker that has a job.
 *
 * @param reason a line for a person, or null
 */
public record JobCommand(
    String correlationId,
    Command command,
    String reason,
    Instant issuedAt,
    Map<String, String> attributes) {

  /** What to do. */
  public enum Command {
    /** A command of a later version, which is ignored. */
    UNKNOWN,
    CANCEL
  }

  public JobCommand {
    attributes = Map.copyOf(attributes);
  }
}
