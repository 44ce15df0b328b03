package kafkabridge.worker;

import java.time.Instant;
import java.util.LinkedHashSet;
import java.util.Set;
import java.util.concurrent.ScheduledFuture;
import kafkabridge.protocol.ErrorType;
import kafkabridge.protocol.JobRequest;

/** A job in the worker. Only the polling thread changes it. */
final class Job {

  /** Where a job is in the worker. */
  enum Phase {
    /** Nothing is known of it before the ledger was read. */
    ARRIVED,
    /** It waits for a slot. */
    QUEUED,
    /** The brokers have not acknowledged ACCEPTED yet. */
    ACCEPTING,
    /** It can be started. */
    ACCEPTED,
    /** Its handler was called. */
    RUNNING,
    /** Its last event waits until the worker may publish. */
    HELD,
    /** Its last event was published, and not acknowledged yet. */
    ENDING,
    /** It is no longer in the worker. */
    GONE
  }

  final Incoming incoming;

  /** Where its request is; more than one place if it was published twice. */
  final Set<Place> places = new LinkedHashSet<>();

  Phase phase = Phase.ARRIVED;
  JobHistory history = JobHistory.NEW;
  JobEvents events;
  Execution execution;
  Report report;
  boolean hasSlot;

  /** Its partition goes to another worker. */
  boolean isLeaving;

  /** An earlier run of the job in this worker, which has to end first. */
  Job predecessor;

  /** When its partition was lost, in nanoseconds. */
  long lostAt;

  private ScheduledFuture<?> heartbeats;
  private volatile boolean isOwned = true;

  Job(Incoming incoming) {
    this.incoming = incoming;
  }

  JobRequest request() {
    return incoming.request();
  }

  /** When the request was created: the earlier one of what it says and what Kafka says. */
  Instant createdAt() {
    Instant said = request().createdAt();
    long written = incoming.record().timestamp();
    boolean isLater = written >= 0 && said.toEpochMilli() > written;
    return isLater ? Instant.ofEpochMilli(written) : said;
  }

  String id() {
    return incoming.request().correlationId();
  }

  /** Whether the partition is this worker's, as far as it knows. Any thread may ask. */
  boolean isOwned() {
    return isOwned;
  }

  void lost() {
    isOwned = false;
    lostAt = System.nanoTime();
  }

  void found() {
    isOwned = true;
  }

  /** Whether its events are of a delivery of this worker, and not of the one before. */
  boolean isAccepted() {
    return events != null && events.delivery() > history.delivery();
  }

  /** Whether it was released, or will be when its handler has stopped. */
  boolean isReleased() {
    StopReason reason = execution == null ? null : execution.stopReason().orElse(null);
    return reason == StopReason.RELEASED || (report != null && !report.state().isTerminal());
  }

  /** Whether the run of a job that was lost may go on, after what other workers have done. */
  boolean continuesAfter(JobHistory now) {
    return events != null && events.delivery() >= now.delivery() && !isReleased();
  }

  /** Whether no earlier run of it is under way in this worker. */
  boolean isAlone() {
    return predecessor == null || !predecessor.hasSlot;
  }

  /** Publish other events from now on. */
  void report(JobEvents newEvents) {
    if (events != null) {
      events.close();
    }
    events = newEvents;
  }

  /** Publish heartbeats from now on, in place of those before. */
  void beat(ScheduledFuture<?> newHeartbeats) {
    stopHeartbeats();
    heartbeats = newHeartbeats;
  }

  void stopHeartbeats() {
    if (heartbeats != null) {
      heartbeats.cancel(false);
      heartbeats = null;
    }
  }

  /** Why it must not start any more, or null. */
  Report tooLate() {
    Instant now = Instant.now();
    if (request().expiresAt() != null && now.isAfter(request().expiresAt())) {
      return Report.failed(
          ErrorType.EXPIRED,
          "no worker was free before the job expired at " + request().expiresAt(),
          true);
    }
    return isPastDeadline(now)
        ? Report.deadlineExceeded(
            "the deadline, " + request().deadline() + ", had passed before the job started")
        : null;
  }

  boolean isPastDeadline(Instant now) {
    return request().deadline() != null && now.isAfter(request().deadline());
  }
}
