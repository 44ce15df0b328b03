//! Runs the jobs that Airflow submits with kafka-bridge.
//!
//! It is a worker of level 3 of the job protocol: heartbeats, progress, cancels, deadlines, and no finished job runs
//! again, whichever worker crashes.
//!
//! ```no_run
//! use kafka_bridge_worker::{JobContext, JobError, Settings, Worker, stop_signal};
//!
//! #[derive(serde::Deserialize)]
//! struct Images {
//!     images: Vec<String>,
//! }
//!
//! async fn thumbnail(job: JobContext, payload: Images) -> Result<usize, JobError> {
//!     let total = payload.images.len();
//!     for (done, image) in payload.images.iter().enumerate() {
//!         job.unless_stopped(scale(image)).await??;
//!         job.progress(done as f64 + 1.0, total as f64, "images");
//!     }
//!     Ok(total)
//! }
//! # async fn scale(_: &str) -> std::io::Result<()> { Ok(()) }
//!
//! #[tokio::main]
//! async fn main() -> Result<(), kafka_bridge_worker::Error> {
//!     let worker = Worker::new(Settings::from_env()?)?.handle("images.thumbnail", thumbnail);
//!     worker.run(stop_signal()).await
//! }
//! ```

#![warn(missing_docs)]

mod context;
mod error;
mod handler;
mod kafka;
mod payload;
mod protocol;
mod runtime;
mod settings;
mod signal;
mod worker;

pub use context::JobContext;
pub use error::{Error, JobError};
pub use payload::{Data, Payload, Reply};
pub use protocol::{Header, Task};
pub use runtime::StopReason;
pub use settings::Settings;
pub use signal::stop_signal;
pub use worker::{HandleOptions, Worker};
