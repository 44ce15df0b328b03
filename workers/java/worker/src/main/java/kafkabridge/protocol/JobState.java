package kafkabridge.protocol;

/** The state of a job. */
public enum JobState {
  /** A state of a later version. It means that the worker is alive, and is never written. */
  UNKNOWN,
  ACCEPTED,
  RUNNING,
  RELEASED,
  SUCCEEDED,
  FAILED,
  CANCELLED;

  /** Whether the job has ended. */
  public boolean isTerminal() {
    return this == SUCCEEDED || this == FAILED || this == CANCELLED;
  }
}
