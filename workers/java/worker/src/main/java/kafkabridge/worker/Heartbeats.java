package kafkabridge.worker;

import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.ScheduledThreadPoolExecutor;
import java.util.concurrent.TimeUnit;

/** Publishes the heartbeats of all jobs, on a thread of its own. */
final class Heartbeats implements AutoCloseable {
  private static final long MOST_STEP_MS = 500;

  private final ScheduledThreadPoolExecutor thread =
      new ScheduledThreadPoolExecutor(1, Threads.named("heartbeats"));

  Heartbeats() {
    thread.setRemoveOnCancelPolicy(true);
  }

  /**
   * Look after a job's events, four times in each of its heartbeat intervals or more often, until
   * the future is cancelled. Without heartbeats, reports that were not sent are looked after.
   */
  ScheduledFuture<?> lookAfter(JobEvents events, int intervalMs) {
    long quarter = intervalMs == 0 ? MOST_STEP_MS : Math.max(1, intervalMs / 4);
    long step = Math.min(quarter, MOST_STEP_MS);
    return thread.scheduleAtFixedRate(events::heartbeat, step, step, TimeUnit.MILLISECONDS);
  }

  /** Run something later, on the same thread. */
  void later(Runnable task, long milliseconds) {
    thread.schedule(task, milliseconds, TimeUnit.MILLISECONDS);
  }

  @Override
  public void close() {
    thread.shutdownNow();
  }
}
