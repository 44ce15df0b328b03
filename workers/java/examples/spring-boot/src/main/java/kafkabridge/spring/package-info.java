/**
 * A worker in a Spring Boot application: each bean that is a {@link kafkabridge.worker.JobHandler}
 * with a {@link kafkabridge.spring.JobType} runs the jobs of this type. Copy this package into your
 * service, or make a starter of it.
 */
package kafkabridge.spring;
