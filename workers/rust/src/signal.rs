//! The signals that ask a service to stop.

/// Ends at SIGTERM or Ctrl-C: what a service passes to [`Worker::run`](crate::Worker::run).
///
/// # Panics
///
/// The process cannot listen for signals, or there is no tokio runtime.
pub async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).expect("listen for SIGTERM");
        let mut interrupt = signal(SignalKind::interrupt()).expect("listen for SIGINT");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await.expect("listen for Ctrl-C");
}
