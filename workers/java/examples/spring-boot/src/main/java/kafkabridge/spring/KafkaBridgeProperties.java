package kafkabridge.spring;

import java.time.Duration;
import java.util.Map;
import kafkabridge.worker.WorkerSettings;
import org.springframework.boot.context.properties.ConfigurationProperties;
import org.springframework.boot.context.properties.bind.DefaultValue;

/**
 * The settings of the worker, {@code kafka-bridge.…}.
 *
 * @param kafka other properties of Kafka's clients, for their credentials
 */
@ConfigurationProperties("kafka-bridge")
record KafkaBridgeProperties(
    String bootstrapServers,
    String groupId,
    @DefaultValue("jobs.requests") String requestTopic,
    @DefaultValue("jobs.control") String controlTopic,
    @DefaultValue("jobs.dead-letters") String deadLetterTopic,
    @DefaultValue("1") int concurrency,
    @DefaultValue("30s") Duration grace,
    @DefaultValue Map<String, String> kafka) {

  WorkerSettings settings() {
    WorkerSettings.Builder builder =
        WorkerSettings.builder()
            .groupId(groupId)
            .requestTopic(requestTopic)
            .controlTopic(controlTopic)
            .deadLetterTopic(deadLetterTopic)
            .concurrency(concurrency)
            .grace(grace);
    kafka.forEach(builder::kafka);
    return builder.bootstrapServers(bootstrapServers).build();
  }
}
