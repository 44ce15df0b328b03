package kafkabridge.spring;

import org.springframework.context.LifecycleProcessor;

/** Starts and stops nothing. */
final class NoLifecycle implements LifecycleProcessor {
  @Override
  public void start() {}

  @Override
  public void stop() {}

  @Override
  public void onRefresh() {}

  @Override
  public void onClose() {}

  @Override
  public boolean isRunning() {
    return true;
  }
}
