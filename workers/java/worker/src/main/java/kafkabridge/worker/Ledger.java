package kafkabridge.worker;

import java.time.Duration;
import java.time.Instant;
import java.util.Collection;
import java.util.Comparator;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** The snapshots of response topics that are in use. Only the polling thread uses it. */
final class Ledger {
  private static final Logger LOG = LoggerFactory.getLogger(Ledger.class);

  /** Slightly older requests need no second reading. */
  private static final Duration MARGIN = LedgerSnapshot.CLOCK_SKEW.multipliedBy(2);

  private static final long RETRY_MS = 2_000;
  private static final int MOST_TOPICS = 100;

  private final LedgerReader reader;
  private final Mailbox mailbox;
  private final Heartbeats timer;
  private final Map<String, LedgerSnapshot> snapshots = new LinkedHashMap<>();
  private final Set<String> inProgress = new HashSet<>();

  Ledger(LedgerReader reader, Mailbox mailbox, Heartbeats timer) {
    this.reader = reader;
    this.mailbox = mailbox;
    this.timer = timer;
  }

  /** The history of a job, if a snapshot covers it. */
  Optional<JobHistory> history(Job job, long assignedIn) {
    LedgerSnapshot snapshot = snapshots.get(job.request().responseTopic());
    boolean isCovered = snapshot != null && snapshot.covers(job.id(), job.createdAt(), assignedIn);
    return isCovered ? Optional.of(snapshot.of(job.id())) : Optional.empty();
  }

  /**
   * Read the response topics of jobs that no snapshot covers.
   *
   * @param epoch of the assignment
   * @param onMissing called with a topic that does not exist
   */
  void read(Collection<Job> jobs, long epoch, Consumer<String> onMissing) {
    jobs.stream()
        .collect(Collectors.groupingBy(each -> each.request().responseTopic()))
        .forEach((topic, ofTopic) -> read(topic, ofTopic, epoch, onMissing));
  }

  private void read(String topic, Collection<Job> jobs, long epoch, Consumer<String> onMissing) {
    if (!inProgress.add(topic)) {
      return;
    }
    Instant oldest = jobs.stream().map(Job::createdAt).min(Comparator.naturalOrder()).orElseThrow();
    Set<String> ids = jobs.stream().map(Job::id).collect(Collectors.toSet());
    reader
        .read(topic, oldest.minus(MARGIN), epoch, ids)
        .whenComplete(
            (snapshot, error) -> mailbox.post(() -> wasRead(topic, snapshot, error, onMissing)));
  }

  private void wasRead(
      String topic,
      Optional<LedgerSnapshot> snapshot,
      Throwable error,
      Consumer<String> onMissing) {
    if (error != null) {
      LOG.warn("A response topic cannot be read, and is tried again: {}", Texts.line(topic), error);
      timer.later(() -> mailbox.post(() -> inProgress.remove(topic)), RETRY_MS);
      return;
    }
    inProgress.remove(topic);
    if (snapshot.isEmpty()) {
      onMissing.accept(topic);
      return;
    }
    snapshots.remove(topic);
    snapshots.put(topic, snapshot.get());
    if (snapshots.size() > MOST_TOPICS) {
      snapshots.remove(snapshots.keySet().iterator().next());
    }
  }
}
