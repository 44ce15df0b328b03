/**
 * A worker for kafka-bridge: {@link kafkabridge.worker.Worker} runs the jobs of Airflow tasks, each
 * by the {@link kafkabridge.worker.JobHandler} of its type.
 *
 * <p>One thread polls the requests and owns the state of all jobs. Handlers run on threads of a
 * pool. The ledger, the commands and the heartbeats have threads of their own, so that polling
 * never waits for them.
 */
package kafkabridge.worker;
