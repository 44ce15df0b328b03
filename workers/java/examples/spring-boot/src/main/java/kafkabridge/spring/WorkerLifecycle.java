package kafkabridge.spring;

import kafkabridge.worker.Worker;
import org.springframework.context.SmartLifecycle;

/** Starts the worker after all beans, and stops it before them: running jobs may finish. */
final class WorkerLifecycle implements SmartLifecycle {
  private final Worker worker;

  WorkerLifecycle(Worker worker) {
    this.worker = worker;
  }

  @Override
  public void start() {
    worker.start();
  }

  @Override
  public void stop() {
    worker.close();
  }

  @Override
  public boolean isRunning() {
    return worker.isRunning();
  }
}
