package kafkabridge.worker;

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.KafkaException;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.WakeupException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Polls the requests, as a member of the group, and commits those that are finished. */
final class Poller implements Runnable, ConsumerRebalanceListener {
  private static final Logger LOG = LoggerFactory.getLogger(Poller.class);
  private static final Duration POLL = Duration.ofMillis(100);
  private static final Duration CLOSE = Duration.ofSeconds(5);
  private static final long COMMIT_NANOS = 50_000_000;

  /** A poll costs as much as some mail, so there is not one after each. */
  private static final long BUSY_NANOS = 5_000_000;

  private static final long PAUSE_MS = 500;
  private static final long STEP_MS = 5;

  private final Consumer<byte[], byte[]> consumer;
  private final WorkerSettings settings;
  private final Services services;
  private final Jobs jobs;
  private Departure departure;
  private boolean isCommitting;
  private boolean isClosing;
  private long committedAt = System.nanoTime();
  private long polledAt = System.nanoTime();
  private long lookedAt = System.nanoTime();

  Poller(Consumer<byte[], byte[]> consumer, WorkerSettings settings, Services services, Jobs jobs) {
    this.consumer = consumer;
    this.settings = settings;
    this.services = services;
    this.jobs = jobs;
  }

  /** Let the jobs leave, and end. Any thread may call it. */
  void stop() {
    services
        .mailbox()
        .post(
            () -> {
              if (departure == null) {
                LOG.info("Stopping: running jobs have {} to finish", settings.grace());
                jobs.stopStarting();
                departure = new Departure(jobs, jobs::all, settings.grace());
              }
            });
  }

  @Override
  public void run() {
    try {
      consumer.subscribe(List.of(settings.requestTopic()), this);
      while (departure == null || !departure.step()) {
        work();
        poll();
      }
      finish();
    } finally {
      isClosing = true;
      jobs.close();
      consumer.close(CloseOptions.timeout(CLOSE));
    }
  }

  private void work() {
    services.membership().tick();
    services.mailbox().runAll();
    jobs.tick();
    commit();
  }

  private void finish() {
    jobs.releaseRunning();
    Departure last = new Departure(jobs, jobs::all, Duration.ZERO);
    while (!last.step()) {
      work();
      pause(STEP_MS);
    }
    commitNow(services.assignment().committable(false));
  }

  // Polling.

  private void poll() {
    boolean isIdle = services.mailbox().startWaiting();
    if (!isIdle && System.nanoTime() - polledAt < BUSY_NANOS) {
      services.mailbox().stopWaiting();
      return;
    }
    polledAt = System.nanoTime();
    try {
      for (ConsumerRecord<byte[], byte[]> record : consumer.poll(isIdle ? POLL : Duration.ZERO)) {
        jobs.arrived(record);
      }
      lookAtPartitions();
    } catch (WakeupException mail) {
      // There is something in the mailbox.
    } catch (KafkaException error) {
      LOG.warn("The requests cannot be polled, and are tried again", error);
      pause(PAUSE_MS);
    } finally {
      services.mailbox().stopWaiting();
    }
  }

  /** Take note of positions; pause partitions that are full, so that polling never has to stop. */
  private void lookAtPartitions() {
    boolean isDue = System.nanoTime() - lookedAt > POLL.toNanos();
    Set<TopicPartition> paused = consumer.paused();
    for (TopicPartition partition : services.assignment().partitions()) {
      PartitionState state = services.assignment().of(partition);
      boolean isPaused = paused.contains(partition);
      if (departure != null || (state.isFull() && !isPaused)) {
        consumer.pause(Set.of(partition));
      } else if (isPaused && state.hasRoom()) {
        consumer.resume(Set.of(partition));
      }
      if (isDue || !state.isRead()) {
        consumer
            .currentLag(partition)
            .ifPresent(lag -> state.lag(consumer.position(partition), lag));
      }
    }
    if (isDue) {
      lookedAt = System.nanoTime();
    }
  }

  // Commits.

  private void commit() {
    boolean isInDoubt = services.membership().isInDoubt();
    boolean isRecent = System.nanoTime() - committedAt < COMMIT_NANOS;
    if (isCommitting || isRecent) {
      return;
    }
    Map<TopicPartition, OffsetAndMetadata> offsets = services.assignment().committable(isInDoubt);
    if (offsets.isEmpty()) {
      return;
    }
    isCommitting = true;
    committedAt = System.nanoTime();
    long doubt = services.membership().doubt();
    consumer.commitAsync(
        offsets,
        (committed, error) -> {
          isCommitting = false;
          if (error == null) {
            services.assignment().committed(committed);
            services.membership().confirmed(doubt);
          } else {
            LOG.debug("Offsets were not committed, and are tried again", error);
          }
        });
  }

  private void commitNow(Map<TopicPartition, OffsetAndMetadata> offsets) {
    for (int attempt = 0; attempt < 2 && !offsets.isEmpty(); attempt++) {
      try {
        consumer.commitSync(offsets, CLOSE);
        services.assignment().committed(offsets);
        return;
      } catch (WakeupException mail) {
        // The wake-up was meant for a poll: once more.
      } catch (KafkaException error) {
        LOG.warn("Offsets were not committed; the next worker skips what is finished", error);
        return;
      }
    }
  }

  // The group.

  @Override
  public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
    if (!partitions.isEmpty()) {
      LOG.info("Assigned {}", partitions);
      services.assignment().add(partitions);
    }
  }

  @Override
  public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
    if (partitions.isEmpty()) {
      return;
    }
    LOG.info("Revoked {}", partitions);
    if (!isClosing) {
      Collection<Job> leaving = jobs.jobsOf(partitions);
      jobs.letGo(leaving);
      Departure toOthers = new Departure(jobs, () -> List.copyOf(leaving), settings.grace());
      while (!services.membership().isInDoubt() && !toOthers.step()) {
        services.membership().tick();
        services.mailbox().runAll();
        jobs.tick();
        pause(STEP_MS);
      }
      Map<TopicPartition, OffsetAndMetadata> offsets = services.assignment().committable(false);
      offsets.keySet().retainAll(partitions);
      commitNow(offsets);
    }
    forget(partitions);
  }

  @Override
  public void onPartitionsLost(Collection<TopicPartition> partitions) {
    LOG.warn("Lost {}: their jobs are silent until it is known who has them", partitions);
    forget(partitions);
  }

  private void forget(Collection<TopicPartition> partitions) {
    jobs.lost(partitions);
    services.assignment().remove(partitions);
  }

  private static void pause(long milliseconds) {
    try {
      Thread.sleep(milliseconds);
    } catch (InterruptedException error) {
      Thread.currentThread().interrupt();
    }
  }
}
