package kafkabridge.worker;

import java.time.Duration;
import java.util.Collection;
import java.util.List;
import java.util.function.Supplier;

/** Jobs that have to leave the worker: they may finish, are then asked to stop, and released. */
final class Departure {
  private static final Duration TO_STOP = Duration.ofSeconds(5);

  private final Jobs jobs;
  private final Supplier<List<Job>> leaving;
  private final Duration grace;
  private final long begin = System.nanoTime();
  private boolean isAsked;

  Departure(Jobs jobs, Supplier<List<Job>> leaving, Duration grace) {
    this.jobs = jobs;
    this.leaving = leaving;
    this.grace = grace;
  }

  /** Do what is due; return whether all have left, or do not stop. */
  boolean step() {
    Collection<Job> left = leaving.get().stream().filter(Departure::isActive).toList();
    if (left.isEmpty()) {
      return true;
    }
    Duration since = Duration.ofNanos(System.nanoTime() - begin);
    if (since.compareTo(grace) > 0 && !isAsked) {
      isAsked = true;
      jobs.askToStop(left);
    }
    return since.compareTo(grace.plus(TO_STOP)) > 0;
  }

  private static boolean isActive(Job job) {
    return switch (job.phase) {
      case ARRIVED, QUEUED, GONE -> false;
      case ACCEPTING, ACCEPTED, RUNNING, HELD, ENDING -> job.isOwned();
    };
  }
}
