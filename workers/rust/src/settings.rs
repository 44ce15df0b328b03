//! The settings of a worker.

use std::collections::BTreeMap;
use std::env;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use crate::error::Error;
use crate::kafka::KafkaConfig;
use crate::runtime;

const PREFIX: &str = "KAFKA_BRIDGE_";
const KAFKA_PREFIX: &str = "KAFKA_BRIDGE_KAFKA_";

/// How a worker reaches Kafka, and how it runs jobs.
///
/// [`Settings::new`] and [`Settings::from_env`] fill in the defaults.
#[derive(Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Kafka's addresses, with commas.
    pub bootstrap_servers: String,
    /// The consumer group: one for each service.
    pub group_id: String,
    /// The topic of requests; `jobs.requests` by default.
    pub request_topic: String,
    /// The topic of commands; `jobs.control` by default.
    pub control_topic: String,
    /// The topic of dead letters; `jobs.dead-letters` by default.
    pub dead_letter_topic: String,
    /// How many jobs run at the same time; 4 by default.
    pub concurrency: usize,
    /// How long running jobs may continue when the worker stops; 30 s by default.
    pub grace: Duration,
    /// A job whose worker died so often fails; 5 by default.
    pub max_deliveries: u32,
    /// The worker's name in its events; by default the host's name and the process id.
    pub worker_id: String,
    /// How the groups of readers begin, which assign partitions themselves and commit nothing; `kafka-bridge-` by
    /// default. ACLs have to permit them.
    pub reader_group_prefix: String,
    /// More properties of librdkafka, such as `security.protocol`. What the protocol demands cannot be changed.
    pub kafka: BTreeMap<String, String>,
}

impl Settings {
    /// The default settings.
    pub fn new(bootstrap_servers: impl Into<String>, group_id: impl Into<String>) -> Self {
        Settings {
            bootstrap_servers: bootstrap_servers.into(),
            group_id: group_id.into(),
            request_topic: "jobs.requests".into(),
            control_topic: "jobs.control".into(),
            dead_letter_topic: "jobs.dead-letters".into(),
            concurrency: 4,
            grace: Duration::from_secs(30),
            max_deliveries: 5,
            worker_id: default_worker_id(),
            reader_group_prefix: "kafka-bridge-".into(),
            kafka: BTreeMap::new(),
        }
    }

    /// Reads the variables that kafka-bridge's workers in other languages read, too: `KAFKA_BRIDGE_BOOTSTRAP_SERVERS`,
    /// `…_GROUP_ID`, `…_REQUEST_TOPIC`, `…_CONTROL_TOPIC`, `…_DEAD_LETTER_TOPIC`, `…_CONCURRENCY`, `…_GRACE_SECONDS`,
    /// `…_MAX_DELIVERIES`, `…_WORKER_ID` and `…_READER_GROUP_PREFIX`. `KAFKA_BRIDGE_KAFKA_SASL_USERNAME` is librdkafka's
    /// property `sasl.username`, and so on.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`], with all variables that have no such value.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(
            env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
        )
    }

    fn from_variables(variables: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let mut read = Variables { known: variables.collect(), mistakes: Vec::new() };
        let mut settings = Settings::new("", "");
        read.text("BOOTSTRAP_SERVERS", &mut settings.bootstrap_servers);
        read.text("GROUP_ID", &mut settings.group_id);
        read.text("REQUEST_TOPIC", &mut settings.request_topic);
        read.text("CONTROL_TOPIC", &mut settings.control_topic);
        read.text("DEAD_LETTER_TOPIC", &mut settings.dead_letter_topic);
        read.text("WORKER_ID", &mut settings.worker_id);
        read.text("READER_GROUP_PREFIX", &mut settings.reader_group_prefix);
        read.number("CONCURRENCY", &mut settings.concurrency, 1);
        read.number("MAX_DELIVERIES", &mut settings.max_deliveries, 1);
        read.seconds("GRACE_SECONDS", &mut settings.grace);
        for (name, value) in &read.known {
            if let Some(name) = name.strip_prefix(KAFKA_PREFIX) {
                settings.kafka.insert(property(name), value.clone());
            }
        }
        if read.mistakes.is_empty() { Ok(settings) } else { Err(Error::Settings(read.mistakes)) }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let needed = [
            (&self.bootstrap_servers, "no brokers: set bootstrap_servers, or KAFKA_BRIDGE_BOOTSTRAP_SERVERS"),
            (&self.group_id, "no consumer group: set group_id, or KAFKA_BRIDGE_GROUP_ID"),
            (&self.request_topic, "no topic of requests: set request_topic"),
            (&self.control_topic, "no topic of commands: set control_topic"),
            (&self.dead_letter_topic, "no topic of dead letters: set dead_letter_topic"),
            (&self.worker_id, "no name of the worker: set worker_id"),
        ];
        let missing = needed.iter().filter(|(value, _)| value.trim().is_empty());
        let mut mistakes: Vec<String> = missing.map(|(_, mistake)| (*mistake).into()).collect();
        if self.concurrency == 0 {
            mistakes.push("concurrency is 0: set 1 or more".into());
        }
        if self.max_deliveries == 0 {
            mistakes.push("max_deliveries is 0: set 1 or more".into());
        }
        mistakes.extend(self.kafka.iter().filter_map(not_a_number));
        if mistakes.is_empty() { Ok(()) } else { Err(Error::Settings(mistakes)) }
    }

    pub(crate) fn into_parts(self) -> (runtime::Settings, KafkaConfig) {
        let mut properties = self.kafka;
        properties.insert("bootstrap.servers".into(), self.bootstrap_servers);
        let config = KafkaConfig { properties, group_id: self.group_id, reader_group_prefix: self.reader_group_prefix };
        let settings = runtime::Settings {
            request_topic: self.request_topic,
            control_topic: self.control_topic,
            dead_letter_topic: self.dead_letter_topic,
            worker_id: self.worker_id,
            concurrency: self.concurrency,
            max_deliveries: self.max_deliveries,
            grace: self.grace,
        };
        (settings, config)
    }
}

/// librdkafka's name of a property: only `log_level` has an underscore.
fn property(variable: &str) -> String {
    match variable {
        "LOG_LEVEL" => "log_level".into(),
        _ => variable.to_lowercase().replace('_', "."),
    }
}

/// The session decides when a worker is silent: a value that cannot be read must not be ignored.
fn not_a_number((name, value): (&String, &String)) -> Option<String> {
    let is_wrong = name == "session.timeout.ms" && value.parse::<u32>().is_err();
    is_wrong.then(|| format!("{name} is {value:?}: set a whole number of milliseconds"))
}

struct Variables {
    known: BTreeMap<String, String>,
    mistakes: Vec<String>,
}

impl Variables {
    fn get(&self, name: &str) -> Option<&str> {
        let value = self.known.get(&format!("{PREFIX}{name}"))?;
        (!value.is_empty()).then_some(value)
    }

    fn text(&self, name: &str, into: &mut String) {
        if let Some(value) = self.get(name) {
            *into = value.to_owned();
        }
    }

    fn number<T: FromStr + PartialOrd + Display>(&mut self, name: &str, into: &mut T, least: T) {
        let Some(text) = self.get(name) else { return };
        match text.parse() {
            Ok(value) if value >= least => *into = value,
            _ => {
                let mistake = format!("{PREFIX}{name}={text:?} is not a whole number from {least}");
                self.mistakes.push(mistake);
            }
        }
    }

    fn seconds(&mut self, name: &str, into: &mut Duration) {
        let Some(text) = self.get(name) else { return };
        let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        match seconds {
            Some(seconds) if seconds < Duration::from_secs(1_000_000_000) => *into = seconds,
            _ => {
                let mistake = format!("{PREFIX}{name}={text:?} is not a number of seconds from 0");
                self.mistakes.push(mistake);
            }
        }
    }
}

fn default_worker_id() -> String {
    let named = env::var("HOSTNAME").ok().filter(|name| !name.is_empty());
    let host = named.or_else(|| std::fs::read_to_string("/etc/hostname").ok());
    let host = host.as_deref().map_or("worker", str::trim);
    format!("{host}-{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Settings, Error> {
        let owned = |(name, value): &(&str, &str)| (format!("{PREFIX}{name}"), (*value).to_owned());
        Settings::from_variables(variables.iter().map(owned))
    }

    #[test]
    fn settings_come_from_the_environment() {
        let settings = from(&[
            ("BOOTSTRAP_SERVERS", "a:9092,b:9092"),
            ("GROUP_ID", "g"),
            ("CONCURRENCY", "3"),
            ("GRACE_SECONDS", "0.5"),
            ("KAFKA_SESSION_TIMEOUT_MS", "6000"),
            ("KAFKA_SASL_USERNAME", "alice"),
            ("CONTROL_TOPIC", ""),
        ])
        .unwrap();
        settings.check().unwrap();
        let (runtime, kafka) = settings.into_parts();
        assert_eq!((runtime.concurrency, runtime.grace), (3, Duration::from_millis(500)));
        assert_eq!(runtime.control_topic, "jobs.control");
        assert_eq!(kafka.session_timeout(), Duration::from_secs(6));
        assert_eq!(kafka.properties["sasl.username"], "alice");
        assert_eq!(kafka.properties["bootstrap.servers"], "a:9092,b:9092");
    }

    #[test]
    fn wrong_settings_are_named_all_at_once() {
        let error = from(&[("CONCURRENCY", "many"), ("GRACE_SECONDS", "-1")]).err().unwrap();
        let text = error.to_string();
        assert!(text.contains("KAFKA_BRIDGE_CONCURRENCY") && text.contains("KAFKA_BRIDGE_GRACE_SECONDS"), "{text}");
        let error = from(&[("KAFKA_SESSION_TIMEOUT_MS", "long")]).unwrap().check().unwrap_err();
        let text = error.to_string();
        assert!(text.contains("KAFKA_BRIDGE_GROUP_ID") && text.contains("session.timeout.ms"), "{text}");
    }
}
