package kafkabridge.worker;

import java.time.Duration;
import java.time.Instant;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import kafkabridge.protocol.LedgerEvents;
import kafkabridge.protocol.UnreadableMessageException;
import org.apache.kafka.clients.consumer.ConsumerRecord;

/** What a response topic says of its jobs, from a time on to its end at the moment of reading. */
final class LedgerSnapshot {
  /** How far clocks may differ. */
  static final Duration CLOCK_SKEW = Duration.ofSeconds(60);

  private static final int MOST_JOBS = 200_000;

  private final long epoch;
  private final Set<String> asked;
  private final Map<String, JobHistory> ofAsked;
  private final Map<String, JobHistory> ofOthers = new LinkedHashMap<>();
  private Instant since;

  /**
   * An empty snapshot.
   *
   * @param epoch counts assignments: partitions that were assigned later are not covered
   * @param asked jobs that must not be left out; of all others only the last ones are kept
   */
  LedgerSnapshot(Instant since, long epoch, Set<String> asked) {
    this.since = since;
    this.epoch = epoch;
    this.asked = Set.copyOf(asked);
    this.ofAsked = new LinkedHashMap<>();
  }

  void add(ConsumerRecord<byte[], byte[]> event) {
    if (event.key() == null || event.value() == null) {
      return;
    }
    String job = CorrelationId.of(event.key());
    Map<String, JobHistory> histories = asked.contains(job) ? ofAsked : ofOthers;
    JobHistory before = histories.getOrDefault(job, JobHistory.NEW);
    if (before.isFinished()) {
      return;
    }
    try {
      histories.put(job, before.with(LedgerEvents.decode(event.value())));
    } catch (UnreadableMessageException notAnEvent) {
      return;
    }
    if (ofOthers.size() > MOST_JOBS) {
      forgetOldest(event.timestamp());
    }
  }

  private void forgetOldest(long timestamp) {
    Iterator<String> oldest = ofOthers.keySet().iterator();
    oldest.next();
    oldest.remove();
    Instant moment = Instant.ofEpochMilli(timestamp);
    since = moment.isAfter(since) ? moment : since;
  }

  /**
   * Whether the snapshot knows all of a job.
   *
   * @param assignedIn the epoch in which the partition of its request was assigned
   */
  boolean covers(String job, Instant createdAt, long assignedIn) {
    return epoch >= assignedIn
        && (asked.contains(job) || !createdAt.minus(CLOCK_SKEW).isBefore(since));
  }

  JobHistory of(String job) {
    JobHistory history = ofAsked.get(job);
    return history != null ? history : ofOthers.getOrDefault(job, JobHistory.NEW);
  }
}
