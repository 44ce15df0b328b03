package kafkabridge.worker;

import java.util.Map;
import java.util.Optional;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import kafkabridge.protocol.JobRequest;
import kafkabridge.protocol.Progress;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;
import org.slf4j.MDC;

/** One run of a handler, on a thread of the pool. */
final class Execution implements Runnable, JobContext<Object> {
  private static final Logger LOG = LoggerFactory.getLogger(Execution.class);

  private final Incoming incoming;
  private final RegisteredHandler handler;
  private final Payloads payloads;
  private final JobEvents events;
  private final BooleanSupplier mayStart;
  private final Consumer<Ending> onEnd;
  private Object payload;
  private Thread thread;
  private volatile StopReason stopReason;

  /**
   * A run that has not begun.
   *
   * @param mayStart asked on the handler's thread: the process may have been frozen since the job
   *     was accepted
   * @param onEnd called once on the handler's thread, with null if the handler was not called
   */
  Execution(
      Incoming incoming,
      RegisteredHandler handler,
      Payloads payloads,
      JobEvents events,
      BooleanSupplier mayStart,
      Consumer<Ending> onEnd) {
    this.incoming = incoming;
    this.handler = handler;
    this.payloads = payloads;
    this.events = events;
    this.mayStart = mayStart;
    this.onEnd = onEnd;
  }

  @Override
  public void run() {
    synchronized (this) {
      if (stopReason != null || !mayStart.getAsBoolean()) {
        onEnd.accept(null);
        return;
      }
      thread = Thread.currentThread();
    }
    MDC.put("job_id", Texts.line(correlationId()));
    MDC.put("job_type", Texts.line(request().jobType()));
    try {
      onEnd.accept(call());
    } finally {
      MDC.clear();
    }
  }

  private Ending call() {
    LOG.info("Started, delivery {}", delivery());
    long start = System.nanoTime();
    Ending ending;
    try {
      payload = payloads.read(request().payload(), handler.payloadType());
      ending = new Ending(payloads.write(handler.handler().handle(this)), null);
    } catch (Throwable error) { // also of an Error the task has to be told
      ending = new Ending(null, error);
    }
    synchronized (this) {
      thread = null;
      Thread.interrupted(); // the next job of this thread starts without it
    }
    long milliseconds = (System.nanoTime() - start) / 1_000_000;
    if (ending.error() == null) {
      LOG.info("Returned after {} ms", milliseconds);
    } else if (ending.hasStopped()) {
      LOG.info("Stopped after {} ms", milliseconds);
    } else {
      LOG.warn("Failed after {} ms", milliseconds, ending.error());
    }
    return ending;
  }

  /** Ask the handler to stop: the first request interrupts its thread. */
  synchronized void stop(StopReason reason) {
    if (stopReason != null) {
      return;
    }
    stopReason = reason;
    if (thread != null) {
      thread.interrupt();
    }
  }

  @Override
  public Object payload() {
    return payload;
  }

  @Override
  public JobRequest request() {
    return incoming.request();
  }

  @Override
  public int delivery() {
    return events.delivery();
  }

  @Override
  public Map<String, String> headers() {
    return incoming.headers();
  }

  @Override
  public void progress(double completed) {
    report(completed, null, null);
  }

  @Override
  public void progress(double completed, double total, String unit) {
    report(completed, Double.isFinite(total) ? total : null, unit);
  }

  /** A report cannot fail a job: a number that is not finite is left out. */
  private void report(double completed, Double total, String unit) {
    if (Double.isFinite(completed)) {
      String cut = Texts.cut(unit, Texts.MESSAGE_BYTES);
      events.report(new Progress(completed, total, cut), null);
    }
  }

  @Override
  public void message(String text) {
    events.report(null, text);
  }

  @Override
  public Optional<String> externalId() {
    return Optional.ofNullable(events.externalId());
  }

  @Override
  public void externalId(String id) {
    events.externalId(id);
  }

  @Override
  public <T> Optional<T> checkpoint(Class<T> type) {
    return Optional.ofNullable(payloads.readCheckpoint(events.checkpoint(), type));
  }

  @Override
  public void saveCheckpoint(Object value) {
    events.saveCheckpoint(payloads.writeCheckpoint(value));
  }

  @Override
  public Optional<StopReason> stopReason() {
    return Optional.ofNullable(stopReason);
  }
}
