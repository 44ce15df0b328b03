package kafkabridge.worker;

import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicBoolean;

/** What other threads have to tell the polling thread. */
final class Mailbox {
  private final Queue<Runnable> tasks = new ConcurrentLinkedQueue<>();
  private final AtomicBoolean isWaiting = new AtomicBoolean();
  private final Runnable wakeUp;

  /**
   * An empty mailbox.
   *
   * @param wakeUp ends the wait of the polling thread
   */
  Mailbox(Runnable wakeUp) {
    this.wakeUp = wakeUp;
  }

  /** Have a task run by the polling thread, soon. */
  void post(Runnable task) {
    tasks.add(task);
    if (isWaiting.compareAndSet(true, false)) {
      wakeUp.run();
    }
  }

  /** Say that the polling thread is about to wait; return whether there is nothing to do. */
  boolean startWaiting() {
    isWaiting.set(true);
    return tasks.isEmpty();
  }

  void stopWaiting() {
    isWaiting.set(false);
  }

  /** Run what is there. Only the polling thread calls it. */
  void runAll() {
    for (Runnable task = tasks.poll(); task != null; task = tasks.poll()) {
      task.run();
    }
  }
}
