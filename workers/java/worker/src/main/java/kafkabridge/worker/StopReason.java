package kafkabridge.worker;

/** Why a job is asked to stop. */
public enum StopReason {
  /** Airflow no longer wants it. */
  CANCELLED,
  /** The request's deadline has passed. */
  DEADLINE,
  /** The worker shuts down, or another worker takes the partition: the job runs again elsewhere. */
  RELEASED,
  /** Another worker has the job; nothing more is published for it here. */
  LOST
}
