package kafkabridge.worker;

import java.time.Duration;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Queue;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.function.Consumer;
import kafkabridge.protocol.JobCommand;
import kafkabridge.protocol.MessageCodec;
import kafkabridge.protocol.UnreadableMessageException;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.InterruptException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Follows the control topic from its beginning, on a thread of its own; knows all CANCELs. */
final class Cancellations implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Cancellations.class);
  private static final int MOST = 500_000;
  private static final Duration POLL = Duration.ofMillis(100);
  private static final Duration PAUSE = Duration.ofSeconds(2);
  private static final Duration LOOK_FOR_PARTITIONS = Duration.ofSeconds(60);

  private final KafkaClients clients;
  private final String topic;
  private final Consumer<String> onCancel;
  private final Map<String, String> reasons = new LinkedHashMap<>();
  private final Queue<CompletableFuture<Void>> asked = new ConcurrentLinkedQueue<>();
  private final Map<CompletableFuture<Void>, Map<TopicPartition, Long>> targets = new HashMap<>();
  private final Thread thread = Threads.named("control").newThread(this::follow);
  private boolean isMissing;
  private volatile boolean isClosed;

  /**
   * A follower that has read nothing.
   *
   * @param onCancel called with the id of a job, on this thread
   */
  Cancellations(KafkaClients clients, String topic, Consumer<String> onCancel) {
    this.clients = clients;
    this.topic = topic;
    this.onCancel = onCancel;
  }

  void start() {
    thread.start();
  }

  boolean isCancelled(String job) {
    synchronized (reasons) {
      return reasons.containsKey(job);
    }
  }

  /** The reason of a CANCEL, which may be null. */
  String reason(String job) {
    synchronized (reasons) {
      return reasons.get(job);
    }
  }

  /** Complete when all commands that are in the topic now were read. */
  CompletableFuture<Void> caughtUp() {
    CompletableFuture<Void> future = new CompletableFuture<>();
    asked.add(future);
    return future;
  }

  private void follow() {
    while (!isClosed) {
      try (Admin admin = clients.admin();
          var consumer = clients.reader()) {
        follow(new TopicEnds(admin), consumer);
      } catch (InterruptedException | InterruptException closed) {
        return;
      } catch (KafkaException error) {
        LOG.warn("The control topic {} cannot be read: {}", topic, error.toString());
        pause();
      }
    }
  }

  private void follow(
      TopicEnds topicEnds, org.apache.kafka.clients.consumer.Consumer<byte[], byte[]> consumer)
      throws InterruptedException {
    Set<TopicPartition> partitions = Set.of();
    long lookedAt = 0;
    while (!isClosed) {
      if (partitions.isEmpty() || since(lookedAt).compareTo(LOOK_FOR_PARTITIONS) > 0) {
        partitions = assign(consumer, partitions, topicEnds.partitions(topic));
        lookedAt = System.nanoTime();
      }
      for (var each = asked.poll(); each != null; each = asked.poll()) {
        targets.put(each, partitions.isEmpty() ? Map.of() : topicEnds.ends(partitions));
      }
      if (partitions.isEmpty()) {
        if (!isMissing) {
          LOG.warn("The control topic {} does not exist: no job can be cancelled", topic);
        }
        isMissing = true;
        Thread.sleep(PAUSE.toMillis());
      } else {
        consumer.poll(POLL).forEach(this::read);
      }
      targets
          .entrySet()
          .removeIf(each -> isReached(each.getValue(), consumer) && each.getKey().complete(null));
    }
  }

  private static boolean isReached(
      Map<TopicPartition, Long> ends,
      org.apache.kafka.clients.consumer.Consumer<byte[], byte[]> consumer) {
    return ends.entrySet().stream()
        .allMatch(each -> consumer.position(each.getKey()) >= each.getValue());
  }

  /** Read new partitions from their beginnings, and continue with the others. */
  private static Set<TopicPartition> assign(
      org.apache.kafka.clients.consumer.Consumer<byte[], byte[]> consumer,
      Set<TopicPartition> before,
      Set<TopicPartition> now) {
    if (!now.isEmpty() && !now.equals(before)) {
      consumer.assign(now);
      consumer.seekToBeginning(now.stream().filter(each -> !before.contains(each)).toList());
    }
    return now.isEmpty() ? before : now;
  }

  private void read(ConsumerRecord<byte[], byte[]> record) {
    if (record.value() == null) {
      return;
    }
    JobCommand command;
    try {
      command = MessageCodec.JOB_COMMAND.decode(record.value());
    } catch (UnreadableMessageException error) {
      LOG.warn(
          "{}-{}@{} is not a command: {}",
          topic,
          record.partition(),
          record.offset(),
          Texts.line(error.getMessage()));
      return;
    }
    if (command.command() == JobCommand.Command.CANCEL) {
      add(command.correlationId(), command.reason());
      onCancel.accept(command.correlationId());
    }
  }

  private void add(String job, String reason) {
    synchronized (reasons) {
      reasons.put(job, reason);
      if (reasons.size() > MOST) {
        var oldest = reasons.keySet().iterator();
        oldest.next();
        oldest.remove();
      }
    }
  }

  private static Duration since(long nanos) {
    return Duration.ofNanos(System.nanoTime() - nanos);
  }

  private void pause() {
    try {
      Thread.sleep(PAUSE.toMillis());
    } catch (InterruptedException closed) {
      isClosed = true;
    }
  }

  @Override
  public void close() {
    isClosed = true; // the thread looks at it after each poll, and does not keep the process alive
  }
}
