package kafkabridge.spring;

import java.util.List;
import kafkabridge.worker.JobHandler;
import kafkabridge.worker.Worker;
import org.springframework.aop.support.AopUtils;
import org.springframework.boot.autoconfigure.AutoConfiguration;
import org.springframework.boot.autoconfigure.condition.ConditionalOnBean;
import org.springframework.boot.autoconfigure.condition.ConditionalOnMissingBean;
import org.springframework.boot.context.properties.EnableConfigurationProperties;
import org.springframework.context.annotation.Bean;
import org.springframework.core.ResolvableType;
import org.springframework.core.annotation.AnnotationUtils;

/** A worker with all handlers of the application. */
@AutoConfiguration
@ConditionalOnBean(JobHandler.class)
@EnableConfigurationProperties(KafkaBridgeProperties.class)
class KafkaBridgeAutoConfiguration {

  @Bean(destroyMethod = "") // the lifecycle closes it
  @ConditionalOnMissingBean
  Worker worker(KafkaBridgeProperties properties, List<JobHandler<?, ?>> handlers) {
    Worker.Builder builder = Worker.builder(properties.settings());
    handlers.forEach(each -> add(builder, each));
    return builder.build();
  }

  @Bean
  WorkerLifecycle workerLifecycle(Worker worker) {
    return new WorkerLifecycle(worker);
  }

  private static <P> void add(Worker.Builder builder, JobHandler<P, ?> handler) {
    Class<?> type = AopUtils.getTargetClass(handler);
    JobType jobType = AnnotationUtils.findAnnotation(type, JobType.class);
    Class<?> payload = ResolvableType.forClass(type).as(JobHandler.class).getGeneric(0).resolve();
    if (jobType == null || payload == null) {
      throw new IllegalStateException(
          type.getName()
              + " must be a class with the annotation @JobType that implements"
              + " JobHandler<payload, result>, both with their types");
    }
    @SuppressWarnings("unchecked") // it is the handler's own type argument
    Class<P> payloadType = (Class<P>) payload;
    builder.handler(jobType.value(), payloadType, handler);
  }
}
