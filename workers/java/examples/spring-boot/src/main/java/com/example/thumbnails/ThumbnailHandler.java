package com.example.thumbnails;

import java.util.List;
import kafkabridge.spring.JobType;
import kafkabridge.worker.JobContext;
import kafkabridge.worker.JobFailedException;
import kafkabridge.worker.JobHandler;
import org.springframework.stereotype.Component;

/** Makes thumbnails, one after the other. */
@Component
@JobType("images.thumbnail")
class ThumbnailHandler implements JobHandler<ThumbnailHandler.Thumbnails, ThumbnailHandler.Made> {

  record Thumbnails(List<String> images) {}

  record Made(int made) {}

  @Override
  public Made handle(JobContext<Thumbnails> job) throws InterruptedException {
    List<String> images = job.payload().images();
    if (images == null || images.isEmpty()) {
      throw new JobFailedException("no_images", "the payload names no images", false);
    }
    int done = 0;
    for (String image : images) {
      job.message(image);
      shrink();
      job.progress(++done, images.size(), "images");
    }
    return new Made(done);
  }

  /** The real work of the service. It ends with an exception when the job is asked to stop. */
  private void shrink() throws InterruptedException {
    Thread.sleep(100);
  }
}
