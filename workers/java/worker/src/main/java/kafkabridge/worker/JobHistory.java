package kafkabridge.worker;

import kafkabridge.protocol.Checkpoint;
import kafkabridge.protocol.JobState;
import kafkabridge.protocol.StatusEvent;

/**
 * What the response topic says of one job.
 *
 * @param isFinished there is a terminal event
 * @param delivery the highest one, or 0
 * @param released how many deliveries were released
 * @param releasedDelivery the last one that was released, or 0
 * @param sequence the highest one of the highest delivery
 * @param externalId the last one, or null
 * @param checkpoint that of the last event that has one, or null: not every worker knows them
 */
record JobHistory(
    boolean isFinished,
    int delivery,
    int released,
    int releasedDelivery,
    long sequence,
    String externalId,
    String checkpoint) {
  static final JobHistory NEW = new JobHistory(false, 0, 0, 0, -1, null, null);
  static final JobHistory FINISHED = new JobHistory(true, 0, 0, 0, -1, null, null);

  JobHistory with(StatusEvent event) {
    if (isFinished || event.state().isTerminal()) {
      return FINISHED;
    }
    boolean isNewRelease =
        event.state() == JobState.RELEASED && event.delivery() != releasedDelivery;
    String saved = Checkpoint.in(event);
    return new JobHistory(
        false,
        Math.max(delivery, event.delivery()),
        released + (isNewRelease ? 1 : 0),
        isNewRelease ? event.delivery() : releasedDelivery,
        event.delivery() > delivery ? event.sequence() : Math.max(sequence, event.sequence()),
        event.externalId() == null ? externalId : event.externalId(),
        saved == null || event.delivery() < delivery ? checkpoint : saved);
  }

  boolean isStarted() {
    return delivery > 0;
  }

  /** Whether a worker has started the job, and neither finished nor released it. */
  boolean isInterrupted() {
    return isStarted() && releasedDelivery < delivery;
  }

  /** The deliveries that ended without a final event. */
  int interrupted() {
    return delivery - released;
  }
}
