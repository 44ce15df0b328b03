package kafkabridge.protocol;

import java.util.Objects;

/**
 * Why a job failed.
 *
 * @param type a short name, one of {@link ErrorType} or the worker's own
 * @param message a line for a person
 * @param details more text, often a stack trace, or null
 * @param retryable whether a retry may help
 */
public record JobFailure(String type, String message, String details, boolean retryable) {
  public JobFailure {
    Objects.requireNonNull(type, "type");
    Objects.requireNonNull(message, "message");
  }
}
