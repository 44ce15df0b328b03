package kafkabridge.worker;

/** A handler has stopped because it was asked to. */
public final class JobStoppedException extends RuntimeException {
  private static final long serialVersionUID = 1L;

  private final StopReason reason;

  public JobStoppedException(StopReason reason) {
    super("the job was asked to stop: " + reason);
    this.reason = reason;
  }

  public StopReason reason() {
    return reason;
  }
}
