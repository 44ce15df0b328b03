package kafkabridge.worker;

import com.fasterxml.jackson.core.type.TypeReference;
import com.fasterxml.jackson.databind.JavaType;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.lang.management.ManagementFactory;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.Consumer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Runs the jobs of a service.
 *
 * <pre>{@code
 * Worker worker =
 *     Worker.builder(WorkerSettings.fromEnvironment().groupId("thumbnailers").build())
 *         .handler("images.thumbnail", Thumbnails.class, job -> shrink(job.payload()))
 *         .build();
 * worker.run(); // until SIGTERM
 * }</pre>
 */
public final class Worker implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Worker.class);

  private final WorkerSettings settings;
  private final Map<String, RegisteredHandler> handlers;
  private final Payloads payloads;
  private final String workerId = newWorkerId();
  private final CountDownLatch ended = new CountDownLatch(1);
  private Poller poller;
  private volatile Throwable failure;

  private Worker(Builder builder) {
    this.settings = builder.settings;
    this.handlers = Map.copyOf(builder.handlers);
    this.payloads = builder.payloads;
  }

  private static String newWorkerId() {
    // The name of the runtime is process@host.
    String process = ManagementFactory.getRuntimeMXBean().getName();
    return process + "-" + UUID.randomUUID().toString().substring(0, 8);
  }

  /** A worker without handlers, whose mapper for payloads and results is the default one. */
  public static Builder builder(WorkerSettings settings) {
    return new Builder(settings);
  }

  /**
   * Start the worker's threads, and return.
   *
   * @throws org.apache.kafka.common.KafkaException a property of a Kafka client is not possible
   */
  public synchronized void start() {
    if (poller != null) {
      throw new IllegalStateException("a worker can be started once");
    }
    KafkaClients clients = new KafkaClients(settings);
    Consumer<byte[], byte[]> consumer = clients.groupMember();
    Runtime runtime = new Runtime(clients, consumer);
    poller = runtime.poller;
    Threads.named("poller").newThread(() -> run(runtime)).start();
    LOG.info("Worker {} serves {}", workerId, handlers.keySet());
  }

  private void run(Runtime runtime) {
    try {
      runtime.cancellations.start();
      poller.run();
    } catch (RuntimeException | Error error) {
      LOG.error("The worker ends because of an error", error);
      failure = error;
    } finally {
      runtime.close();
      ended.countDown();
    }
  }

  /**
   * Start, and return when the worker has ended. SIGTERM and SIGINT stop it in good order.
   *
   * @throws IllegalStateException the worker has ended because of an error
   */
  public void run() {
    java.lang.Runtime.getRuntime().addShutdownHook(new Thread(this::close, "kafka-bridge-stop"));
    start();
    try {
      ended.await();
    } catch (InterruptedException interrupted) {
      close();
      Thread.currentThread().interrupt();
    }
    if (failure != null) {
      throw new IllegalStateException("the worker has ended because of an error", failure);
    }
  }

  /** Whether it was started and has not ended. */
  public synchronized boolean isRunning() {
    return poller != null && ended.getCount() > 0;
  }

  /**
   * Stop in good order, and return when that is done: running jobs may finish within the grace
   * period, then they are asked to stop and released.
   */
  @Override
  public void close() {
    synchronized (this) {
      if (poller == null) {
        return;
      }
      poller.stop();
    }
    boolean isInterrupted = false;
    while (true) {
      try {
        ended.await();
        break;
      } catch (InterruptedException interrupted) {
        isInterrupted = true;
      }
    }
    if (isInterrupted) {
      Thread.currentThread().interrupt();
    }
  }

  /** Everything that a started worker consists of. */
  private final class Runtime {
    private final Heartbeats heartbeats = new Heartbeats();
    private final Cancellations cancellations;
    private final LedgerReader ledgerReader;
    private final Publisher publisher;
    private final Poller poller;

    private Runtime(KafkaClients clients, Consumer<byte[], byte[]> consumer) {
      int session = clients.sessionTimeoutMs();
      Mailbox mailbox = new Mailbox(consumer::wakeup);
      Membership membership = new Membership(session, System::nanoTime);
      Delivery delivery = new Delivery(mailbox, heartbeats);
      publisher = new Publisher(clients.producer(), settings.deadLetterTopic());
      Jobs[] jobs = new Jobs[1]; // the commands go to the jobs, which ask for commands
      cancellations =
          new Cancellations(
              clients, settings.controlTopic(), job -> mailbox.post(() -> jobs[0].cancelled(job)));
      ledgerReader = new LedgerReader(clients, () -> cancellations.caughtUp().get());
      Services services =
          new Services(
              new Assignment(),
              new Ledger(ledgerReader, mailbox, heartbeats),
              cancellations,
              publisher,
              delivery,
              new DeadLetters(publisher, delivery, ledgerReader, membership, workerId),
              heartbeats,
              membership,
              mailbox);
      jobs[0] = new Jobs(settings, workerId, handlers, payloads, services, session);
      poller = new Poller(consumer, settings, services, jobs[0]);
    }

    private void close() {
      heartbeats.close();
      ledgerReader.close();
      cancellations.close();
      publisher.close();
    }
  }

  /** Collects the handlers of a worker. */
  public static final class Builder {
    private final WorkerSettings settings;
    private final Map<String, RegisteredHandler> handlers = new HashMap<>();
    private ObjectMapper mapper = Payloads.defaultMapper();
    private Payloads payloads = new Payloads(mapper);

    private Builder(WorkerSettings settings) {
      this.settings = Objects.requireNonNull(settings, "settings");
    }

    /** Another mapper for payloads and results. Set it before the handlers. */
    public Builder mapper(ObjectMapper value) {
      if (!handlers.isEmpty()) {
        throw new IllegalStateException("set the mapper before the handlers");
      }
      mapper = value;
      payloads = new Payloads(value);
      return this;
    }

    /**
     * The handler of a job type.
     *
     * @param payload the type that Jackson makes of the payload, usually a record; {@code byte[]}
     *     or {@code Content} for the bytes of any media type; {@code Void} for none
     */
    public <P> Builder handler(String jobType, Class<P> payload, JobHandler<P, ?> handler) {
      return add(jobType, mapper.constructType(payload), handler);
    }

    /** The handler of a job type with a payload such as {@code List<Image>}. */
    public <P> Builder handler(String jobType, TypeReference<P> payload, JobHandler<P, ?> handler) {
      return add(jobType, mapper.constructType(payload), handler);
    }

    private <P> Builder add(String jobType, JavaType payload, JobHandler<P, ?> handler) {
      if (jobType.isEmpty()) {
        throw new IllegalArgumentException("a job type must not be empty");
      }
      if (handlers.putIfAbsent(jobType, RegisteredHandler.of(handler, payload)) != null) {
        throw new IllegalArgumentException("there are two handlers of " + jobType);
      }
      return this;
    }

    /**
     * The worker, which does not run yet.
     *
     * @throws IllegalStateException it has no handlers
     */
    public Worker build() {
      if (handlers.isEmpty()) {
        throw new IllegalStateException("a worker needs a handler");
      }
      return new Worker(this);
    }
  }
}
