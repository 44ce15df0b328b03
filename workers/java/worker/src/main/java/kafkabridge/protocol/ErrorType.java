package kafkabridge.protocol;

/** The reserved error types that a worker writes. */
public final class ErrorType {
  public static final String EXPIRED = "expired";
  public static final String DEADLINE_EXCEEDED = "deadline_exceeded";
  public static final String UNKNOWN_JOB_TYPE = "unknown_job_type";
  public static final String UNREADABLE = "unreadable";
  public static final String INVALID_PAYLOAD = "invalid_payload";
  public static final String UNSUPPORTED_REFERENCE = "unsupported_reference";
  public static final String TOO_MANY_DELIVERIES = "too_many_deliveries";

  private ErrorType() {}
}
