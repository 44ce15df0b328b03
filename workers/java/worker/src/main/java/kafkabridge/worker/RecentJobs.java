package kafkabridge.worker;

import java.util.LinkedHashMap;
import java.util.Map;

/** The last so many jobs. */
final class RecentJobs<V> extends LinkedHashMap<String, V> {
  private static final long serialVersionUID = 1L;

  private final int most;

  RecentJobs(int most) {
    this.most = most;
  }

  @Override
  protected boolean removeEldestEntry(Map.Entry<String, V> eldest) {
    return size() > most;
  }
}
