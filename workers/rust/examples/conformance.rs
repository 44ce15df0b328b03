//! The worker that `kafka-bridge conformance` tests. `docs/how-to/check-a-worker.md` says what each job type does.

use std::env;
use std::fs::OpenOptions;
use std::future::Future;
use std::io::Write;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use kafka_bridge_worker::{Data, Error, JobContext, JobError, Payload, Settings, Worker, stop_signal};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tracing_subscriber::EnvFilter;

#[derive(Deserialize)]
struct Sleep {
    seconds: f64,
    #[serde(default)]
    stubborn: bool,
}

#[derive(Serialize)]
struct Slept {
    slept: f64,
}

#[derive(Deserialize)]
struct Steps {
    steps: u32,
    seconds: f64,
}

#[derive(Serialize)]
struct StepsDone {
    steps: u32,
}

#[derive(Deserialize)]
struct Failure {
    r#type: String,
    message: String,
    retryable: bool,
}

#[derive(Serialize)]
struct Delivery {
    delivery: u32,
}

#[derive(Serialize)]
struct Echoed {
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    json: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

async fn echo(_: JobContext, payload: Data) -> Result<Echoed, JobError> {
    let Some(media_type) = payload.media_type else {
        return Ok(Echoed { r#type: None, json: None, base64: None });
    };
    let name = media_type.split(';').next().unwrap_or_default().trim().to_lowercase();
    let (json, base64) = if name == "application/json" || name.ends_with("+json") {
        let text = String::from_utf8(payload.bytes);
        let json = text.ok().and_then(|text| RawValue::from_string(text).ok());
        (Some(json.ok_or_else(|| JobError::invalid_payload("the payload is not JSON"))?), None)
    } else {
        (None, Some(BASE64.encode(payload.bytes)))
    };
    Ok(Echoed { r#type: Some(media_type), json, base64 })
}

async fn all_bytes(_: JobContext, (): ()) -> Result<Data, JobError> {
    Ok(Data::new("application/octet-stream", (0..=255).collect::<Vec<u8>>()))
}

async fn sleep(job: JobContext, payload: Sleep) -> Result<Slept, JobError> {
    let slept = tokio::time::sleep(Duration::from_secs_f64(payload.seconds));
    if payload.stubborn {
        slept.await;
    } else {
        job.unless_stopped(slept).await?;
    }
    Ok(Slept { slept: payload.seconds })
}

async fn progress(job: JobContext, payload: Steps) -> Result<StepsDone, JobError> {
    for step in 1..=payload.steps {
        job.unless_stopped(tokio::time::sleep(Duration::from_secs_f64(payload.seconds))).await?;
        job.progress(step.into(), f64::from(payload.steps), "steps");
    }
    Ok(StepsDone { steps: payload.steps })
}

async fn fail(_: JobContext, payload: Failure) -> Result<(), JobError> {
    Err(JobError::new(payload.r#type, payload.message).retryable(payload.retryable))
}

async fn crash(job: JobContext, (): ()) -> Result<Delivery, JobError> {
    if job.delivery() == 1 {
        let own = std::process::id().to_string();
        std::process::Command::new("kill").args(["-KILL", &own]).status()?;
    }
    Ok(Delivery { delivery: job.delivery() })
}

/// A handler that notes when it is called, and when it returns.
fn noted<P, R, F, Fut>(
    function: F,
) -> impl Fn(JobContext, P) -> std::pin::Pin<Box<dyn Future<Output = Result<R, JobError>> + Send>>
where
    P: Payload,
    R: Send + 'static,
    F: Fn(JobContext, P) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<R, JobError>> + Send + 'static,
{
    move |job, payload| {
        let id = job.id().to_owned();
        note("started", &id);
        let running = function(job, payload);
        Box::pin(async move {
            let result = running.await;
            note("ended", &id);
            result
        })
    }
}

/// Writes one line at once: several processes share the file.
fn note(word: &str, id: &str) {
    let Ok(path) = env::var("KAFKA_BRIDGE_CONFORMANCE_NOTES") else { return };
    let mut file = OpenOptions::new().append(true).create(true).open(path).expect("open the notes");
    file.write_all(format!("{word} {id}\n").as_bytes()).expect("write a note");
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(std::io::stderr).init();
    let worker = Worker::new(Settings::from_env()?)?
        .handle("test.echo", noted(echo))
        .handle("test.bytes", noted(all_bytes))
        .handle("test.sleep", noted(sleep))
        .handle("test.progress", noted(progress))
        .handle("test.fail", noted(fail))
        .handle("test.crash", noted(crash));
    worker.run(stop_signal()).await
}
