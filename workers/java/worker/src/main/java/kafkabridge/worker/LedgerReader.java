package kafkabridge.worker;

import java.time.Duration;
import java.time.Instant;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.common.TopicPartition;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Reads response topics, on a thread of its own. */
final class LedgerReader implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(LedgerReader.class);
  private static final Duration POLL = Duration.ofMillis(200);

  /** A topic may have been created just now. */
  private static final Duration UNTIL_MISSING = Duration.ofSeconds(3);

  private final KafkaClients clients;
  private final Admin admin;
  private final TopicEnds topicEnds;
  private final Callable<?> beforeReading;
  private final ExecutorService thread = Executors.newSingleThreadExecutor(Threads.named("ledger"));

  /**
   * A reader that has read nothing.
   *
   * @param beforeReading catches up with the commands, so that a snapshot never knows more than
   *     they
   */
  LedgerReader(KafkaClients clients, Callable<?> beforeReading) {
    this.clients = clients;
    this.beforeReading = beforeReading;
    this.admin = clients.admin();
    this.topicEnds = new TopicEnds(admin);
  }

  /**
   * Read a topic from a time on, up to the high watermarks of this moment.
   *
   * @return the snapshot; empty if the topic does not exist
   */
  CompletableFuture<Optional<LedgerSnapshot>> read(
      String topic, Instant since, long epoch, Set<String> asked) {
    return submit(
        () -> {
          Set<TopicPartition> partitions = find(topic);
          if (partitions.isEmpty()) {
            return Optional.empty();
          }
          beforeReading.call();
          LedgerSnapshot snapshot = new LedgerSnapshot(since, epoch, asked);
          fill(snapshot, partitions, since);
          return Optional.of(snapshot);
        });
  }

  /** Whether a topic exists. */
  CompletableFuture<Boolean> exists(String topic) {
    return submit(() -> !find(topic).isEmpty());
  }

  private <T> CompletableFuture<T> submit(Callable<T> task) {
    CompletableFuture<T> future = new CompletableFuture<>();
    thread.execute(
        () -> {
          try {
            future.complete(task.call());
          } catch (Exception error) {
            future.completeExceptionally(error);
          }
        });
    return future;
  }

  private Set<TopicPartition> find(String topic) throws InterruptedException {
    Instant limit = Instant.now().plus(UNTIL_MISSING);
    Set<TopicPartition> partitions = topicEnds.partitions(topic);
    while (partitions.isEmpty() && Instant.now().isBefore(limit)) {
      Thread.sleep(POLL.toMillis());
      partitions = topicEnds.partitions(topic);
    }
    return partitions;
  }

  private void fill(LedgerSnapshot snapshot, Set<TopicPartition> partitions, Instant since)
      throws InterruptedException {
    Map<TopicPartition, Long> ends = topicEnds.ends(partitions);
    Map<TopicPartition, Long> starts = topicEnds.since(since, partitions, ends);
    Map<TopicPartition, Long> left = new HashMap<>(ends);
    left.entrySet().removeIf(each -> starts.get(each.getKey()) >= each.getValue());
    long records = 0;
    try (Consumer<byte[], byte[]> consumer = clients.reader()) {
      consumer.assign(left.keySet());
      left.keySet().forEach(each -> consumer.seek(each, starts.get(each)));
      while (!left.isEmpty()) {
        for (var record : consumer.poll(POLL)) {
          snapshot.add(record);
          records++;
        }
        // Not at a last record: transaction markers have offsets, too.
        left.entrySet().removeIf(each -> consumer.position(each.getKey()) >= each.getValue());
        if (Thread.interrupted()) {
          throw new InterruptedException();
        }
      }
    }
    LOG.debug("Read {} events of {} since {}", records, partitions, since);
  }

  @Override
  public void close() {
    thread.shutdownNow();
    admin.close(Duration.ofSeconds(1));
  }
}
