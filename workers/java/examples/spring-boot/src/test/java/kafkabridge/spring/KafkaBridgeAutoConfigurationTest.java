package kafkabridge.spring;

import static org.assertj.core.api.Assertions.assertThat;

import kafkabridge.worker.JobContext;
import kafkabridge.worker.JobHandler;
import kafkabridge.worker.Worker;
import org.junit.jupiter.api.Test;
import org.springframework.boot.autoconfigure.AutoConfigurations;
import org.springframework.boot.test.context.runner.ApplicationContextRunner;

class KafkaBridgeAutoConfigurationTest {
  private final ApplicationContextRunner runner =
      new ApplicationContextRunner()
          .withConfiguration(AutoConfigurations.of(KafkaBridgeAutoConfiguration.class))
          .withInitializer(
              // Nothing is started: there is no Kafka here.
              context ->
                  context
                      .getBeanFactory()
                      .registerSingleton("lifecycleProcessor", new NoLifecycle()))
          .withPropertyValues(
              "kafka-bridge.bootstrap-servers=127.0.0.1:9", "kafka-bridge.group-id=g");

  @JobType("numbers.double")
  static class DoubleHandler implements JobHandler<Integer, Integer> {
    @Override
    public Integer handle(JobContext<Integer> job) {
      return 2 * job.payload();
    }
  }

  static class NamelessHandler implements JobHandler<Integer, Integer> {
    @Override
    public Integer handle(JobContext<Integer> job) {
      return job.payload();
    }
  }

  @Test
  void anApplicationWithAHandlerHasAWorker() {
    runner
        .withBean(DoubleHandler.class)
        .run(context -> assertThat(context).hasSingleBean(Worker.class));
  }

  @Test
  void anApplicationWithoutHandlersHasNone() {
    runner.run(context -> assertThat(context).doesNotHaveBean(Worker.class));
  }

  @Test
  void aHandlerWithoutAJobTypeIsRefused() {
    runner
        .withBean(NamelessHandler.class)
        .run(
            context ->
                assertThat(context).getFailure().rootCause().hasMessageContaining("@JobType"));
  }

  @Test
  void settingsComeFromProperties() {
    runner
        .withBean(DoubleHandler.class)
        .withPropertyValues(
            "kafka-bridge.concurrency=4", "kafka-bridge.kafka.session.timeout.ms=6000")
        .run(
            context -> {
              var settings = context.getBean(KafkaBridgeProperties.class).settings();
              assertThat(settings.concurrency()).isEqualTo(4);
              assertThat(settings.kafka()).containsEntry("session.timeout.ms", "6000");
            });
  }
}
