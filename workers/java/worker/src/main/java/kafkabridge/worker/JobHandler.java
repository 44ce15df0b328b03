package kafkabridge.worker;

/**
 * Runs the jobs of one type.
 *
 * @param <P> the payload
 * @param <R> the result: anything that Jackson can write; {@code byte[]} or a {@link
 *     kafkabridge.protocol.Content} for other media types; null for no result
 */
@FunctionalInterface
public interface JobHandler<P, R> {

  /**
   * Run one job. The thread is interrupted when the job is asked to stop. A handler that then ends
   * with an {@link InterruptedException}, a {@link JobStoppedException} or an exception that they
   * caused has stopped. It may run again after a crash, so its effects must be repeatable: {@link
   * JobContext#correlationId()} is the idempotency key.
   *
   * @return the result, which the Airflow task receives
   * @throws JobFailedException the job failed, with a type and whether a retry may help
   * @throws Exception the job failed; a retry may help
   */
  R handle(JobContext<P> job) throws Exception;
}
