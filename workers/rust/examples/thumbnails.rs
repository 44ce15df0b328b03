//! A service to copy: it makes thumbnails, or pretends to.
//!
//! ```console
//! $ export KAFKA_BRIDGE_BOOTSTRAP_SERVERS=127.0.0.1:9092 KAFKA_BRIDGE_GROUP_ID=thumbnailers
//! $ cargo run --example thumbnails
//! ```

use std::time::Duration;

use kafka_bridge_worker::{Error, JobContext, JobError, Settings, Worker, stop_signal};
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

#[derive(Deserialize)]
struct Images {
    images: Vec<String>,
    #[serde(default = "default_width")]
    width: u32,
}

fn default_width() -> u32 {
    256
}

#[derive(Debug, PartialEq, Serialize)]
struct Made {
    made: usize,
}

async fn thumbnail(job: JobContext, payload: Images) -> Result<Made, JobError> {
    if payload.width == 0 {
        return Err(JobError::invalid_payload("width is 0: set 1 or more"));
    }
    let total = payload.images.len();
    for (done, image) in payload.images.iter().enumerate() {
        job.unless_stopped(scale(image, payload.width)).await??;
        job.message(image);
        job.progress((done + 1) as f64, total as f64, "images");
    }
    Ok(Made { made: total })
}

/// Scales an image. Work that computes, as this would, belongs into `tokio::task::spawn_blocking`.
async fn scale(image: &str, _width: u32) -> Result<(), JobError> {
    if image.starts_with("s3://full/") {
        return Err(JobError::new("bucket_full", "No space left in the bucket").retryable(true));
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let worker = Worker::new(Settings::from_env()?)?.handle("images.thumbnail", thumbnail);
    worker.run(stop_signal()).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn thumbnails_are_made() {
        let job = JobContext::for_tests("6f1c2f0a-8d4e-4b57-9a53-0c7d1be0a001", "images.thumbnail");
        let payload = Images { images: vec!["a.png".into(), "b.png".into()], width: 100 };
        assert_eq!(thumbnail(job, payload).await.unwrap(), Made { made: 2 });
    }
}
