package kafkabridge.conformance;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Base64;
import java.util.Map;
import kafkabridge.protocol.Content;
import kafkabridge.protocol.StrictJson;
import kafkabridge.worker.JobContext;
import kafkabridge.worker.JobFailedException;
import kafkabridge.worker.JobHandler;
import kafkabridge.worker.Worker;
import kafkabridge.worker.WorkerSettings;

/** The job types that {@code kafka-bridge conformance} asks for. */
public final class ConformanceService {
  private static final Path NOTES =
      Path.of(System.getenv().getOrDefault("KAFKA_BRIDGE_CONFORMANCE_NOTES", "/dev/null"));

  /** Seconds, and whether stop requests are ignored. */
  record Sleep(double seconds, Boolean stubborn) {}

  record Steps(int steps, double seconds) {}

  record Failure(String type, String message, boolean retryable) {}

  private ConformanceService() {}

  public static void main(String[] arguments) {
    Worker.builder(WorkerSettings.fromEnvironment().build())
        .handler("test.echo", Content.class, noted(ConformanceService::echo))
        .handler("test.bytes", Void.class, noted(job -> allBytes()))
        .handler("test.sleep", Sleep.class, noted(ConformanceService::sleep))
        .handler("test.progress", Steps.class, noted(ConformanceService::progress))
        .handler("test.fail", Failure.class, noted(ConformanceService::fail))
        .handler("test.crash", Void.class, noted(ConformanceService::crash))
        .build()
        .run();
  }

  private static <P, R> JobHandler<P, R> noted(JobHandler<P, R> handler) {
    return job -> {
      note("started", job);
      try {
        return handler.handle(job);
      } finally {
        note("ended", job);
      }
    };
  }

  /** One write for each line: several processes share the file. */
  private static void note(String word, JobContext<?> job) throws IOException {
    byte[] line = (word + " " + job.correlationId() + "\n").getBytes(StandardCharsets.UTF_8);
    try (var file =
        Files.newOutputStream(NOTES, StandardOpenOption.CREATE, StandardOpenOption.APPEND)) {
      file.write(line);
    }
  }

  private static JsonNode echo(JobContext<Content> job) throws Exception {
    ObjectNode result = JsonNodeFactory.instance.objectNode();
    Content payload = job.payload();
    if (payload == null) {
      return result.putNull("type");
    }
    result.put("type", payload.mediaType());
    if (payload.isJson()) {
      return result.set("json", StrictJson.read(payload.bytes()));
    }
    return result.put("base64", Base64.getEncoder().encodeToString(payload.bytes()));
  }

  private static byte[] allBytes() {
    byte[] bytes = new byte[256];
    for (int value = 0; value < bytes.length; value++) {
      bytes[value] = (byte) value;
    }
    return bytes;
  }

  private static Map<String, Double> sleep(JobContext<Sleep> job) throws InterruptedException {
    double seconds = job.payload().seconds();
    long end = System.nanoTime() + Math.round(seconds * 1e9);
    for (long left = end - System.nanoTime(); left > 0; left = end - System.nanoTime()) {
      try {
        Thread.sleep(left / 1_000_000 + 1);
      } catch (InterruptedException stopped) {
        if (!Boolean.TRUE.equals(job.payload().stubborn())) {
          throw stopped;
        }
      }
    }
    return Map.of("slept", seconds);
  }

  private static Map<String, Integer> progress(JobContext<Steps> job) throws InterruptedException {
    int steps = job.payload().steps();
    for (int step = 1; step <= steps; step++) {
      Thread.sleep(Math.round(job.payload().seconds() * 1000));
      job.progress(step, steps, "steps");
    }
    return Map.of("steps", steps);
  }

  private static Void fail(JobContext<Failure> job) {
    Failure failure = job.payload();
    throw new JobFailedException(failure.type(), failure.message(), failure.retryable());
  }

  private static Map<String, Integer> crash(JobContext<Void> job) throws Exception {
    if (job.delivery() == 1) {
      String self = Long.toString(ProcessHandle.current().pid());
      new ProcessBuilder("kill", "-9", self).start().waitFor();
    }
    return Map.of("delivery", job.delivery());
  }
}
