package kafkabridge.worker;

import java.util.Objects;

/** A job failed, with the error that its task receives. */
public class JobFailedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final String type;
  private final boolean retryable;
  private final String details;

  /**
   * An error without details.
   *
   * @param type a short name, such as {@code disk_full}
   * @param message a line for a person
   * @param retryable whether a retry may help
   */
  public JobFailedException(String type, String message, boolean retryable) {
    this(type, message, retryable, null, null);
  }

  /**
   * An error.
   *
   * @param type a short name, such as {@code disk_full}
   * @param message a line for a person
   * @param retryable whether a retry may help
   * @param details more text, or null
   * @param cause what caused it, or null
   */
  public JobFailedException(
      String type, String message, boolean retryable, String details, Throwable cause) {
    super(Objects.requireNonNull(message, "message"), cause);
    if (type.isEmpty()) {
      throw new IllegalArgumentException("the type of an error must not be empty");
    }
    this.type = type;
    this.retryable = retryable;
    this.details = details;
  }

  public String type() {
    return type;
  }

  public boolean isRetryable() {
    return retryable;
  }

  /** More text, or null. */
  public String details() {
    return details;
  }
}
