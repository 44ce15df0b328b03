package kafkabridge.worker;

import java.time.Duration;
import java.util.Collection;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.TopicPartition;

/** The partitions that the worker has, and which of their requests are unfinished. */
final class Assignment {
  /** A new partition delays jobs of the others no longer than this. */
  private static final Duration MOST_DELAY = Duration.ofSeconds(10);

  private final Map<TopicPartition, PartitionState> partitions = new HashMap<>();
  private long epoch;
  private long changedAt = System.nanoTime();

  /** Counts the times that partitions were assigned. */
  long epoch() {
    return epoch;
  }

  void add(Collection<TopicPartition> assigned) {
    epoch++;
    changedAt = System.nanoTime();
    assigned.forEach(each -> partitions.put(each, new PartitionState(epoch)));
  }

  void remove(Collection<TopicPartition> revoked) {
    partitions.keySet().removeAll(revoked);
  }

  Set<TopicPartition> partitions() {
    return Set.copyOf(partitions.keySet());
  }

  PartitionState of(TopicPartition partition) {
    return partitions.get(partition);
  }

  void arrived(Place place) {
    partitions
        .computeIfAbsent(place.partition(), each -> new PartitionState(epoch))
        .add(place.offset());
  }

  void finished(Place place) {
    PartitionState state = partitions.get(place.partition());
    if (state != null) {
      state.finish(place.offset());
    }
  }

  /** The epoch of a place's partition; the current one if the partition is gone. */
  long epochOf(Place place) {
    PartitionState state = partitions.get(place.partition());
    return state == null ? epoch : state.epoch();
  }

  /**
   * Whether the queues of all new partitions were read: only then it is known which jobs others
   * have started.
   */
  boolean isRead() {
    return System.nanoTime() - changedAt > MOST_DELAY.toNanos()
        || partitions.values().stream().allMatch(PartitionState::isRead);
  }

  /** The offsets that have changed since they were committed, or all that are known. */
  Map<TopicPartition, OffsetAndMetadata> committable(boolean all) {
    Map<TopicPartition, OffsetAndMetadata> offsets = new HashMap<>();
    partitions.forEach(
        (partition, state) -> {
          if (state.committable() >= 0 && (all || state.hasNews())) {
            // The metadata is that of kafka-bridge's own worker. Without it, it reads the ledger.
            offsets.put(partition, new OffsetAndMetadata(state.committable()));
          }
        });
    return offsets;
  }

  void committed(Map<TopicPartition, OffsetAndMetadata> offsets) {
    offsets.forEach(
        (partition, offset) -> {
          PartitionState state = partitions.get(partition);
          if (state != null) {
            state.committed(offset.offset());
          }
        });
  }
}
