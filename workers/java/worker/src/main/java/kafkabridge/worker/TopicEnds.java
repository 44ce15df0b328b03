package kafkabridge.worker;

import java.time.Instant;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** Asks the brokers where a topic begins and ends. Never creates one. */
final class TopicEnds {
  private final Admin admin;

  TopicEnds(Admin admin) {
    this.admin = admin;
  }

  /** The partitions of a topic; empty if it does not exist. */
  Set<TopicPartition> partitions(String topic) throws InterruptedException {
    try {
      var description = answerOf(admin.describeTopics(Set.of(topic)).topicNameValues().get(topic));
      return description.partitions().stream()
          .map(each -> new TopicPartition(topic, each.partition()))
          .collect(Collectors.toSet());
    } catch (UnknownTopicOrPartitionException missing) {
      return Set.of();
    }
  }

  /** The high watermarks: where the next records will be. */
  Map<TopicPartition, Long> ends(Set<TopicPartition> partitions) throws InterruptedException {
    return offsets(partitions, OffsetSpec.latest());
  }

  /** The offsets of the first records since a time, or the ends. */
  Map<TopicPartition, Long> since(
      Instant moment, Set<TopicPartition> partitions, Map<TopicPartition, Long> ends)
      throws InterruptedException {
    long time = Math.max(0, moment.toEpochMilli());
    Map<TopicPartition, Long> found = offsets(partitions, OffsetSpec.forTimestamp(time));
    Set<TopicPartition> nothing = new HashSet<>();
    found.forEach(
        (partition, offset) -> {
          if (offset < 0) {
            nothing.add(partition);
          }
        });
    if (nothing.isEmpty()) {
      return found;
    }
    // librdkafka's mock cluster, which kafka-bridge embeds, finds nothing by time, whatever there
    // is. A broker that does would find the first record of all times.
    Map<TopicPartition, Long> all = offsets(nothing, OffsetSpec.forTimestamp(0));
    Map<TopicPartition, Long> firsts = offsets(nothing, OffsetSpec.earliest());
    for (TopicPartition partition : nothing) {
      found.put(partition, (all.get(partition) < 0 ? firsts : ends).get(partition));
    }
    return found;
  }

  private Map<TopicPartition, Long> offsets(Set<TopicPartition> partitions, OffsetSpec spec)
      throws InterruptedException {
    var answer =
        answerOf(
            admin
                .listOffsets(partitions.stream().collect(Collectors.toMap(p -> p, p -> spec)))
                .all());
    Map<TopicPartition, Long> offsets = new HashMap<>();
    answer.forEach((partition, info) -> offsets.put(partition, info.offset()));
    return offsets;
  }

  private static <T> T answerOf(KafkaFuture<T> future) throws InterruptedException {
    try {
      return future.get();
    } catch (ExecutionException error) {
      throw error.getCause() instanceof RuntimeException cause
          ? cause
          : new KafkaException(error.getCause());
    }
  }
}
