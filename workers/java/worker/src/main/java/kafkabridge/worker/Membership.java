package kafkabridge.worker;

import java.util.function.LongSupplier;

/**
 * Whether the worker is certainly a member of its group.
 *
 * <p>A process that was stopped for longer than its session (SIGSTOP, a suspended machine) has lost
 * its partitions and cannot know it. So nothing is published while the last tick of the polling
 * thread is older than half of the session, nor after that until the group has accepted a commit.
 * Half, because the group counts from the last heartbeat, which is older.
 */
final class Membership {
  private final long sureForNanos;
  private final LongSupplier nanoTime;
  private volatile long tickedAt;
  private volatile boolean inDoubt;
  private volatile long doubts;

  Membership(long sessionTimeoutMs, LongSupplier nanoTime) {
    this.sureForNanos = sessionTimeoutMs * 1_000_000 / 2;
    this.nanoTime = nanoTime;
    this.tickedAt = nanoTime.getAsLong();
  }

  /** Note that the polling thread runs. Only this thread calls it. */
  void tick() {
    long now = nanoTime.getAsLong();
    if (now - tickedAt > sureForNanos) {
      inDoubt = true;
      doubts = doubts + 1;
    }
    tickedAt = now;
  }

  /** Whether events may be published now. */
  boolean isSure() {
    return !inDoubt && nanoTime.getAsLong() - tickedAt <= sureForNanos;
  }

  boolean isInDoubt() {
    return inDoubt;
  }

  /** Which doubt this is: {@link #confirmed} has to name it. */
  long doubt() {
    return doubts;
  }

  /** Note that the group has accepted a commit that was sent after a doubt had begun. */
  void confirmed(long doubt) {
    if (doubt == doubts) {
      inDoubt = false;
    }
  }
}
