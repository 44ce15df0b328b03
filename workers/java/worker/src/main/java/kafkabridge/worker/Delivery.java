package kafkabridge.worker;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import java.util.function.Supplier;
import org.apache.kafka.common.errors.RetriableException;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/** Publishes what must arrive: again and again, until the brokers acknowledge or refuse it. */
final class Delivery {
  private static final Logger LOG = LoggerFactory.getLogger(Delivery.class);
  private static final long RETRY_MS = 500;

  private final Mailbox mailbox;
  private final Heartbeats timer;

  Delivery(Mailbox mailbox, Heartbeats timer) {
    this.mailbox = mailbox;
    this.timer = timer;
  }

  /**
   * Publish something. All functions are called by the polling thread.
   *
   * @param publish publishes it once
   * @param mayPublish whether it may be published now; if not, it is tried again later
   * @param isWanted whether it is still wanted
   * @param onRefused called with an error that does not pass
   */
  void deliver(
      Supplier<CompletableFuture<Void>> publish,
      BooleanSupplier mayPublish,
      BooleanSupplier isWanted,
      Runnable onAcknowledged,
      Consumer<Throwable> onRefused) {
    if (!isWanted.getAsBoolean()) {
      return;
    }
    Runnable again = () -> deliver(publish, mayPublish, isWanted, onAcknowledged, onRefused);
    if (!mayPublish.getAsBoolean()) {
      later(again);
      return;
    }
    publish
        .get()
        .whenComplete(
            (nothing, error) ->
                mailbox.post(
                    () -> {
                      if (error == null) {
                        onAcknowledged.run();
                        return;
                      }
                      Throwable cause =
                          error instanceof CompletionException ? error.getCause() : error;
                      if (cause instanceof RetriableException) {
                        LOG.warn("Published again, because it was not acknowledged", cause);
                        later(again);
                      } else {
                        onRefused.accept(cause);
                      }
                    }));
  }

  private void later(Runnable task) {
    timer.later(() -> mailbox.post(task), RETRY_MS);
  }
}
