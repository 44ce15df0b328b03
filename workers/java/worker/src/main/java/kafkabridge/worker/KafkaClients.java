package kafkabridge.worker;

import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AdminClientConfig;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** Makes the Kafka clients of a worker. What the protocol demands cannot be changed by settings. */
final class KafkaClients {
  private static final int DEFAULT_SESSION_MS = 30_000;

  private final WorkerSettings settings;

  KafkaClients(WorkerSettings settings) {
    this.settings = settings;
  }

  int sessionTimeoutMs() {
    String value = settings.kafka().get(ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG);
    return value == null ? DEFAULT_SESSION_MS : Integer.parseInt(value);
  }

  /** The member of the worker's group, which reads requests. */
  Consumer<byte[], byte[]> groupMember() {
    return consumer(
        Map.of(
            ConsumerConfig.GROUP_ID_CONFIG,
            settings.groupId(),
            ConsumerConfig.SESSION_TIMEOUT_MS_CONFIG,
            sessionTimeoutMs(),
            ConsumerConfig.PARTITION_ASSIGNMENT_STRATEGY_CONFIG,
            CooperativeStickyAssignor.class.getName()));
  }

  /** A consumer outside of all groups. */
  Consumer<byte[], byte[]> reader() {
    return consumer(Map.of());
  }

  private Consumer<byte[], byte[]> consumer(Map<String, Object> more) {
    Map<String, Object> properties = known(ConsumerConfig.configNames());
    properties.remove(ConsumerConfig.GROUP_ID_CONFIG);
    properties.put(ConsumerConfig.ENABLE_AUTO_COMMIT_CONFIG, false);
    properties.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
    properties.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
    properties.put(ConsumerConfig.ALLOW_AUTO_CREATE_TOPICS_CONFIG, false);
    properties.putAll(more);
    return new KafkaConsumer<>(
        properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
  }

  Producer<byte[], byte[]> producer() {
    Map<String, Object> properties = known(ProducerConfig.configNames());
    // An event that waits in the client is sent after a freeze, too, so it should not wait.
    properties.put(ProducerConfig.LINGER_MS_CONFIG, 0);
    properties.put(ProducerConfig.ACKS_CONFIG, "all");
    // The polling thread publishes, too: it must not wait for a topic that is gone.
    properties.putIfAbsent(ProducerConfig.MAX_BLOCK_MS_CONFIG, 2_000);
    properties.putIfAbsent(ProducerConfig.REQUEST_TIMEOUT_MS_CONFIG, 10_000);
    properties.putIfAbsent(ProducerConfig.DELIVERY_TIMEOUT_MS_CONFIG, 30_000);
    return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
  }

  Admin admin() {
    return Admin.create(known(AdminClientConfig.configNames()));
  }

  private Map<String, Object> known(Set<String> names) {
    Map<String, Object> properties = new HashMap<>(settings.kafka());
    properties.keySet().retainAll(names);
    return properties;
  }
}
