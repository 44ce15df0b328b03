package kafkabridge.worker;

import java.time.Instant;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.Deque;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledFuture;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import kafkabridge.protocol.ErrorType;
import kafkabridge.protocol.UnreadableMessageException;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** All jobs in the worker, and what happens to them. Only the polling thread uses it. */
final class Jobs implements AutoCloseable {
  private static final Logger LOG = LoggerFactory.getLogger(Jobs.class);
  private static final int MOST_FINISHED = 100_000;
  private static final long SWEEP_NANOS = 100_000_000;

  /** Quick jobs do not wait for the acknowledgement of the one before. */
  private static final int MOST_AHEAD = 500;

  private final WorkerSettings settings;
  private final String workerId;
  private final Map<String, RegisteredHandler> handlers;
  private final Payloads payloads;
  private final Services services;
  private final ExecutorService pool;
  private final long orphanNanos;

  private final Map<String, Job> jobs = new LinkedHashMap<>();
  private final Set<Job> arrived = new LinkedHashSet<>();
  private final Deque<Job> resumed = new ArrayDeque<>();
  private final Deque<Job> fresh = new ArrayDeque<>();
  private final Set<Job> ready = new LinkedHashSet<>();
  private final Set<String> finished = Collections.newSetFromMap(new RecentJobs<>(MOST_FINISHED));
  private int slots;
  private int running;
  private int endedInSweep;
  private int ahead;
  private boolean isStopping;
  private long sweptAt = System.nanoTime();

  Jobs(
      WorkerSettings settings,
      String workerId,
      Map<String, RegisteredHandler> handlers,
      Payloads payloads,
      Services services,
      long sessionTimeoutMs) {
    this.settings = settings;
    this.workerId = workerId;
    this.handlers = handlers;
    this.payloads = payloads;
    this.services = services;
    this.slots = settings.concurrency();
    this.orphanNanos = sessionTimeoutMs * 1_000_000;
    this.pool = Executors.newFixedThreadPool(settings.concurrency(), Threads.named("job"));
  }

  // Requests and commands.

  /** A request was polled. */
  void arrived(ConsumerRecord<byte[], byte[]> record) {
    Place place = Place.of(record);
    services.assignment().arrived(place);
    if (record.value() == null) {
      services.assignment().finished(place);
      return;
    }
    Incoming incoming;
    try {
      incoming = Incoming.of(record);
    } catch (UnreadableMessageException error) {
      services.deadLetters().unreadable(record, error, () -> services.assignment().finished(place));
      return;
    }
    arrived(incoming, place);
  }

  private void arrived(Incoming incoming, Place place) {
    String id = incoming.request().correlationId();
    if (finished.contains(id)) {
      services.assignment().finished(place);
      return;
    }
    Job job = jobs.computeIfAbsent(id, each -> new Job(incoming));
    job.places.add(place);
    if (job.phase == Job.Phase.ARRIVED || !job.isOwned()) {
      arrived.add(job);
    }
  }

  /** A CANCEL came. */
  void cancelled(String id) {
    Job job = jobs.get(id);
    if (job == null || !job.isOwned()) {
      return;
    }
    switch (job.phase) {
      case QUEUED, ACCEPTED -> end(job, cancelled(job));
      case RUNNING -> stop(job, StopReason.CANCELLED, "was cancelled");
      default -> {
        // It is looked at again when it was accepted, or it has ended.
      }
    }
  }

  private Report cancelled(Job job) {
    return Report.cancelled(services.cancellations().reason(job.id()));
  }

  private static void stop(Job job, StopReason reason, String why) {
    if (job.execution.stopRequested()) {
      return;
    }
    job.execution.stop(reason);
    job.events.stopping("the job " + why + " and was asked to stop; it still runs");
  }

  // What is due.

  /** Do what has become possible, or is due. */
  void tick() {
    decideArrived();
    long now = System.nanoTime();
    if (now - sweptAt > SWEEP_NANOS) {
      sweptAt = now;
      ahead = Math.max(0, Math.min(MOST_AHEAD, endedInSweep - settings.concurrency()));
      endedInSweep = 0;
      new ArrayList<>(jobs.values()).forEach(each -> sweep(each, now));
    }
    startJobs();
  }

  private void sweep(Job job, long now) {
    if (!job.isOwned()) {
      if (now - job.lostAt > orphanNanos && !arrived.contains(job)) {
        abandon(job);
      }
      return;
    }
    switch (job.phase) {
      case QUEUED -> {
        Report report = job.tooLate();
        if (report != null) {
          end(job, report);
        }
      }
      case ACCEPTED -> run(job);
      case RUNNING -> {
        if (job.isPastDeadline(Instant.now())) {
          stop(job, StopReason.DEADLINE, "has passed its deadline");
        }
      }
      case HELD -> end(job, job.report);
      default -> {
        // Something is under way.
      }
    }
  }

  // Decisions, when the ledger is known.

  private void decideArrived() {
    List<Job> uncovered = new ArrayList<>();
    for (Job job : List.copyOf(arrived)) {
      long epoch = job.places.stream().mapToLong(services.assignment()::epochOf).max().orElse(0);
      Optional<JobHistory> history = services.ledger().history(job, epoch);
      if (history.isPresent()) {
        arrived.remove(job);
        decide(job, history.get());
      } else {
        uncovered.add(job);
      }
    }
    if (!uncovered.isEmpty() && services.assignment().isRead()) {
      services.ledger().read(uncovered, services.assignment().epoch(), this::topicIsMissing);
    }
  }

  private void topicIsMissing(String topic) {
    for (Job job : List.copyOf(arrived)) {
      if (job.request().responseTopic().equals(topic) && job.phase == Job.Phase.ARRIVED) {
        arrived.remove(job);
        String reason = "the response topic " + topic + " does not exist";
        unanswerable(job, new UnknownTopicOrPartitionException(reason));
      }
    }
  }

  private void unanswerable(Job job, Throwable error) {
    job.stopHeartbeats();
    job.phase = Job.Phase.ENDING;
    services.deadLetters().write(job.incoming.record(), error, () -> finish(job));
  }

  private void decide(Job job, JobHistory history) {
    if (!job.isOwned()) {
      returned(job, history);
      return;
    }
    job.history = history;
    if (history.isFinished()) {
      finish(job);
    } else if (services.cancellations().isCancelled(job.id())) {
      end(job, cancelled(job));
    } else if (history.interrupted() >= settings.maxDeliveries()) {
      endAsKiller(job);
    } else {
      admit(job);
    }
  }

  private void admit(Job job) {
    Report refusal = job.tooLate();
    if (refusal == null && !handlers.containsKey(job.request().jobType())) {
      String known = handlers.keySet().stream().sorted().collect(Collectors.joining(", "));
      String message = "no handler of " + job.request().jobType() + "; there are " + known;
      refusal = Report.failed(ErrorType.UNKNOWN_JOB_TYPE, message, false);
    }
    if (refusal == null && job.request().payloadRef() != null) {
      refusal =
          Report.failed(
              ErrorType.UNSUPPORTED_REFERENCE, "this worker does not fetch references", false);
    }
    if (refusal != null) {
      end(job, refusal);
      return;
    }
    job.phase = Job.Phase.QUEUED;
    (job.history.isStarted() ? resumed : fresh).add(job);
    if (job.history.isInterrupted()) {
      handOver(job);
    }
  }

  /** Publish heartbeats of the delivery that was interrupted, until there is a free slot. */
  private void handOver(Job job) {
    if (job.request().heartbeatIntervalMs() > 0) {
      job.report(events(job, job.history.delivery(), job.history.sequence() + 1));
      job.beat(lookAfter(job));
      if (slots <= 0 || resumed.peek() != job) {
        job.events.tell();
      }
    }
  }

  private void endAsKiller(Job job) {
    int count = job.history.interrupted();
    String reason = count + " deliveries of the job were interrupted: it may kill its workers";
    job.phase = Job.Phase.ENDING;
    services
        .deadLetters()
        .write(
            job.incoming.record(),
            new JobFailedException(ErrorType.TOO_MANY_DELIVERIES, reason, false),
            () -> end(job, Report.failed(ErrorType.TOO_MANY_DELIVERIES, reason, false)));
  }

  /** The partition of a job that was lost has come back. */
  private void returned(Job job, JobHistory history) {
    if (history.isFinished()) {
      abandon(job);
      job.places.forEach(services.assignment()::finished);
    } else if (!job.continuesAfter(history)) {
      abandon(job);
      Job next = new Job(job.incoming);
      next.places.addAll(job.places);
      next.predecessor = job;
      jobs.put(next.id(), next);
      decide(next, history);
    } else {
      LOG.info("The job {} is this worker's again, and continues", Texts.line(job.id()));
      job.found();
    }
  }

  /** Forget a job that another worker has. Its handler may still run; then it keeps its slot. */
  private void abandon(Job job) {
    remove(job);
    if (job.execution != null) {
      job.execution.stop(StopReason.LOST);
    }
  }

  // Starting.

  private void startJobs() {
    if (isStopping || !services.membership().isSure()) {
      return;
    }
    boolean mayStartFresh = !fresh.isEmpty() && services.assignment().isRead();
    // As many as have just ended within a sweep: so each starts within about that time.
    while (slots + ahead > 0) {
      Job job = next(resumed);
      if (job == null && mayStartFresh) {
        job = next(fresh);
      }
      if (job == null) {
        return;
      }
      accept(job);
    }
  }

  private static Job next(Deque<Job> queue) {
    for (Job job = queue.poll(); job != null; job = queue.poll()) {
      if (job.phase == Job.Phase.QUEUED) {
        return job;
      }
    }
    return null;
  }

  private void accept(Job job) {
    Report tooLate = job.tooLate();
    if (tooLate != null) {
      end(job, tooLate);
      return;
    }
    job.phase = Job.Phase.ACCEPTING;
    job.hasSlot = true;
    slots--;
    job.report(events(job, job.history.delivery() + 1, 0));
    ProducerRecord<byte[], byte[]> accepted = job.events.accepted();
    job.beat(lookAfter(job));
    deliver(job, accepted, () -> wasAccepted(job), error -> unanswerable(job, error));
  }

  private void wasAccepted(Job job) {
    job.phase = Job.Phase.ACCEPTED;
    run(job);
  }

  private void run(Job job) {
    Report tooLate = job.tooLate();
    if (services.cancellations().isCancelled(job.id())) {
      end(job, cancelled(job));
    } else if (tooLate != null) {
      end(job, tooLate);
    } else if (isStopping || job.isLeaving) {
      end(job, Report.released());
    } else if (mayPublish(job) && job.isAlone()) {
      start(job);
    }
  }

  private void start(Job job) {
    if (running >= settings.concurrency()) {
      ready.add(job);
    } else {
      running++;
      job.phase = Job.Phase.RUNNING;
      job.execution =
          new Execution(
              job.incoming,
              handlers.get(job.request().jobType()),
              payloads,
              job.events,
              () -> mayPublish(job),
              ending -> services.mailbox().post(() -> ended(job, ending)));
      pool.execute(job.execution);
    }
  }

  // Ending.

  private void ended(Job job, Ending ending) {
    running--;
    endedInSweep++;
    wasEnded(job, ending);
    while (running < settings.concurrency() && !ready.isEmpty()) {
      Job next = ready.iterator().next();
      ready.remove(next);
      if (next.phase == Job.Phase.ACCEPTED) {
        run(next);
      }
    }
  }

  private void wasEnded(Job job, Ending ending) {
    if (job.phase != Job.Phase.RUNNING) {
      freeSlot(job); // another worker has the job, or it was released
      return;
    }
    StopReason stop = job.execution.stopReason().orElse(null);
    if (ending == null && stop == null) {
      job.phase = Job.Phase.ACCEPTED; // the process was frozen: it is tried again
      job.execution = null;
      return;
    }
    freeSlot(job);
    end(job, report(job, ending, stop));
  }

  private Report report(Job job, Ending ending, StopReason stop) {
    boolean hasStopped = ending == null || ending.hasStopped();
    if (stop == null) {
      return ending.report();
    }
    return switch (stop) {
      case CANCELLED -> hasStopped ? cancelled(job) : ending.report().stopRequested("cancelled");
      case DEADLINE ->
          hasStopped
              ? Report.deadlineExceeded("the deadline, " + job.request().deadline() + ", passed")
              : ending.report().stopRequested("deadline");
      case RELEASED, LOST -> hasStopped ? Report.released() : ending.report();
    };
  }

  /** Publish the last event of a job, now or when the worker certainly owns it. */
  private void end(Job job, Report report) {
    job.report = report;
    if (job.execution == null) {
      freeSlot(job);
    }
    if (!mayPublish(job)) {
      job.phase = Job.Phase.HELD;
      return;
    }
    job.stopHeartbeats();
    if (!job.isAccepted()) {
      job.report(events(job, job.history.delivery() + 1, 0));
    }
    job.phase = Job.Phase.ENDING;
    deliver(job, last(job, report), () -> hasEnded(job), error -> refused(job, error));
  }

  private static ProducerRecord<byte[], byte[]> last(Job job, Report report) {
    try {
      return job.events.last(report);
    } catch (UnreadableMessageException error) {
      throw new IllegalStateException("results are checked before", error);
    }
  }

  private void hasEnded(Job job) {
    if (job.report.state().isTerminal()) {
      finish(job);
    } else {
      remove(job); // released: its request stays unfinished
    }
  }

  private void refused(Job job, Throwable error) {
    if (error instanceof RecordTooLargeException && job.report.result() != null) {
      String message = "the result is too large for Kafka: store it elsewhere, return its address";
      job.report = Report.failed("result_too_large", message, false);
      deliver(job, last(job, job.report), () -> hasEnded(job), again -> unanswerable(job, again));
    } else {
      unanswerable(job, error);
    }
  }

  private void finish(Job job) {
    finished.add(job.id());
    remove(job);
    job.places.forEach(services.assignment()::finished);
  }

  /** Take a job out of the worker. */
  private void remove(Job job) {
    job.phase = Job.Phase.GONE;
    job.stopHeartbeats();
    jobs.remove(job.id(), job);
    arrived.remove(job);
    if (job.execution == null) {
      freeSlot(job);
    }
  }

  private void freeSlot(Job job) {
    if (job.hasSlot) {
      job.hasSlot = false;
      slots++;
    }
  }

  // Partitions that go, and the end.

  /** The jobs of partitions that the worker gives away. */
  List<Job> jobsOf(Collection<TopicPartition> partitions) {
    return jobs.values().stream()
        .filter(
            job -> job.places.stream().allMatch(place -> partitions.contains(place.partition())))
        .toList();
  }

  List<Job> all() {
    return List.copyOf(jobs.values());
  }

  /** Start no more jobs. */
  void stopStarting() {
    isStopping = true;
  }

  /** Forget those jobs that have not started, and release those that were accepted. */
  void letGo(Collection<Job> leaving) {
    for (Job job : leaving) {
      job.isLeaving = true;
      switch (job.phase) {
        case ARRIVED, QUEUED -> remove(job);
        case ACCEPTED -> end(job, Report.released());
        default -> {
          // It is under way.
        }
      }
    }
  }

  /** Ask the handlers of jobs to stop, because the worker has to release them. */
  void askToStop(Collection<Job> leaving) {
    for (Job job : leaving) {
      if (job.phase == Job.Phase.RUNNING) {
        stop(job, StopReason.RELEASED, "is released");
      }
    }
  }

  /** Release jobs whose handlers do not stop: the process ends. */
  void releaseRunning() {
    for (Job job : all()) {
      if (job.phase == Job.Phase.RUNNING) {
        LOG.warn(
            "The job {} does not stop; it is released, and ends with the process",
            Texts.line(job.id()));
        end(job, Report.released());
      }
    }
  }

  /** The group has given partitions to other workers, or may do so. */
  void lost(Collection<TopicPartition> partitions) {
    for (Job job : all()) {
      job.places.removeIf(place -> partitions.contains(place.partition()));
      if (!job.places.isEmpty() || !job.isOwned()) {
        continue;
      }
      switch (job.phase) {
        case RUNNING, HELD, ENDING -> job.lost();
        default -> {
          job.lost();
          remove(job);
        }
      }
    }
  }

  @Override
  public void close() {
    pool.shutdownNow();
  }

  // Events.

  private boolean mayPublish(Job job) {
    return job.isOwned() && services.membership().isSure();
  }

  private JobEvents events(Job job, int delivery, long sequence) {
    return new JobEvents(
        job.incoming,
        workerId,
        delivery,
        sequence,
        job.history.externalId(),
        job.history.checkpoint(),
        services.publisher(),
        () -> mayPublish(job),
        System::nanoTime);
  }

  private ScheduledFuture<?> lookAfter(Job job) {
    return services.heartbeats().lookAfter(job.events, job.request().heartbeatIntervalMs());
  }

  private void deliver(
      Job job,
      ProducerRecord<byte[], byte[]> record,
      Runnable onAcknowledged,
      Consumer<Throwable> onRefused) {
    services
        .delivery()
        .deliver(
            () -> services.publisher().publish(record),
            () -> mayPublish(job),
            () -> job.phase != Job.Phase.GONE,
            () -> {
              if (job.phase != Job.Phase.GONE) {
                onAcknowledged.run();
              }
            },
            onRefused);
  }
}
