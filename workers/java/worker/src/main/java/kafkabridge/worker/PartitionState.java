package kafkabridge.worker;

import java.util.TreeSet;

/** An assigned partition: which of its requests are unfinished, and whether its queue was read. */
final class PartitionState {
  /** So many unfinished requests of a partition are kept in memory. */
  private static final int MOST = 500;

  private final long epoch;
  private final TreeSet<Long> unfinished = new TreeSet<>();
  private long next = -1;
  private long committed = -1;
  private long firstEnd = -1;

  PartitionState(long epoch) {
    this.epoch = epoch;
  }

  /** The assignment that it came with. */
  long epoch() {
    return epoch;
  }

  void add(long offset) {
    unfinished.add(offset);
    next = offset + 1;
  }

  void finish(long offset) {
    unfinished.remove(offset);
  }

  boolean isFull() {
    return unfinished.size() >= MOST;
  }

  boolean hasRoom() {
    return unfinished.size() < MOST / 2;
  }

  /** Take note of the position of the consumer: transaction markers move it, too. */
  void position(long position) {
    next = Math.max(next, position);
  }

  /** The offset of the oldest unfinished request; -1 if nothing is known. */
  long committable() {
    return unfinished.isEmpty() ? next : unfinished.first();
  }

  boolean hasNews() {
    return committable() > committed;
  }

  void committed(long offset) {
    committed = Math.max(committed, offset);
  }

  /**
   * Take note of where the partition ended when it was first fetched.
   *
   * @param lag how many records are before its end
   */
  void lag(long position, long lag) {
    if (firstEnd < 0) {
      firstEnd = position + lag;
    }
    next = Math.max(next, position);
  }

  /** Whether all that was there at the assignment has arrived, or as much as there is room for. */
  boolean isRead() {
    return isFull() || (firstEnd >= 0 && next >= firstEnd);
  }
}
