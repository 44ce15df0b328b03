package kafkabridge.worker;

import java.time.Duration;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;

/**
 * The settings of a worker.
 *
 * @param groupId the consumer group: one for each service
 * @param requestTopic the topic of requests: one for each service
 * @param concurrency how many jobs run at the same time
 * @param grace how long running jobs may continue when the worker stops
 * @param maxDeliveries a job that this many workers have started and not finished is not started
 * @param kafka properties of the Kafka clients, at least {@code bootstrap.servers}
 */
public record WorkerSettings(
    String groupId,
    String requestTopic,
    String controlTopic,
    String deadLetterTopic,
    int concurrency,
    Duration grace,
    int maxDeliveries,
    Map<String, String> kafka) {
  private static final String PREFIX = "KAFKA_BRIDGE_";
  private static final String KAFKA_PREFIX = PREFIX + "KAFKA_";

  public WorkerSettings {
    requireText(groupId, "groupId, the name of the worker's consumer group");
    requireText(requestTopic, "requestTopic");
    requireText(controlTopic, "controlTopic");
    requireText(deadLetterTopic, "deadLetterTopic");
    requireText(kafka.get("bootstrap.servers"), "bootstrapServers, Kafka's addresses");
    if (concurrency < 1 || maxDeliveries < 1) {
      throw new IllegalArgumentException("concurrency and maxDeliveries must be at least 1");
    }
    if (grace.isNegative()) {
      throw new IllegalArgumentException("grace must not be negative");
    }
    kafka = Map.copyOf(kafka);
  }

  private static void requireText(String value, String name) {
    if (value == null || value.isBlank()) {
      throw new IllegalArgumentException("a worker needs " + name);
    }
  }

  /** Settings with the default names of topics, for one job at a time. */
  public static Builder builder() {
    return new Builder();
  }

  /** Settings from {@code KAFKA_BRIDGE_…}, which may be changed before they are built. */
  public static Builder fromEnvironment() {
    return from(System.getenv());
  }

  static Builder from(Map<String, String> environment) {
    Builder builder = new Builder();
    environment.forEach(
        (name, value) -> {
          if (name.startsWith(KAFKA_PREFIX)) {
            String property = name.substring(KAFKA_PREFIX.length());
            builder.kafka(property.toLowerCase(Locale.ROOT).replace('_', '.'), value);
          } else if (name.startsWith(PREFIX)) {
            builder.variable(name, value);
          }
        });
    return builder;
  }

  /** Collects settings. */
  public static final class Builder {
    private String groupId;
    private String requestTopic = "jobs.requests";
    private String controlTopic = "jobs.control";
    private String deadLetterTopic = "jobs.dead-letters";
    private int concurrency = 1;
    private Duration grace = Duration.ofSeconds(30);
    private int maxDeliveries = 5;
    private final Map<String, String> kafka = new HashMap<>();

    private Builder() {}

    private void variable(String name, String value) {
      try {
        switch (name.substring(PREFIX.length())) {
          case "BOOTSTRAP_SERVERS" -> bootstrapServers(value);
          case "GROUP_ID" -> groupId(value);
          case "REQUEST_TOPIC" -> requestTopic(value);
          case "CONTROL_TOPIC" -> controlTopic(value);
          case "DEAD_LETTER_TOPIC" -> deadLetterTopic(value);
          case "CONCURRENCY" -> concurrency(Integer.parseInt(value));
          case "GRACE_SECONDS" -> grace(seconds(value));
          case "MAX_DELIVERIES" -> maxDeliveries(Integer.parseInt(value));
          default -> {
            // A variable of another program.
          }
        }
      } catch (NumberFormatException error) {
        throw new IllegalArgumentException(name + " must be a number, not " + value, error);
      }
    }

    private static Duration seconds(String value) {
      return Duration.ofMillis(Math.round(Double.parseDouble(value) * 1000));
    }

    public Builder groupId(String value) {
      groupId = value;
      return this;
    }

    public Builder bootstrapServers(String value) {
      return kafka("bootstrap.servers", value);
    }

    public Builder requestTopic(String value) {
      requestTopic = value;
      return this;
    }

    public Builder controlTopic(String value) {
      controlTopic = value;
      return this;
    }

    public Builder deadLetterTopic(String value) {
      deadLetterTopic = value;
      return this;
    }

    public Builder concurrency(int value) {
      concurrency = value;
      return this;
    }

    public Builder grace(Duration value) {
      grace = value;
      return this;
    }

    public Builder maxDeliveries(int value) {
      maxDeliveries = value;
      return this;
    }

    /** A property of Kafka's Java clients, such as {@code session.timeout.ms}. */
    public Builder kafka(String property, String value) {
      kafka.put(property, value);
      return this;
    }

    /**
     * The settings.
     *
     * @throws IllegalArgumentException one is missing or not possible
     */
    public WorkerSettings build() {
      return new WorkerSettings(
          groupId,
          requestTopic,
          controlTopic,
          deadLetterTopic,
          concurrency,
          grace,
          maxDeliveries,
          kafka);
    }
  }
}
