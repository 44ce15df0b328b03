//! The jobs that are accepted or run.

use std::collections::HashMap;

use super::mail::Ticket;
use super::settings::Handlers;

pub(super) struct Slots {
    limit: usize,
    handlers: Handlers,
    holders: HashMap<Ticket, String>,
    by_type: HashMap<String, usize>,
}

impl Slots {
    pub(super) fn new(limit: usize, handlers: Handlers) -> Self {
        Slots { limit, handlers, holders: HashMap::new(), by_type: HashMap::new() }
    }

    pub(super) fn used(&self) -> usize {
        self.holders.len()
    }

    pub(super) fn has_free(&self) -> bool {
        self.used() < self.limit
    }

    pub(super) fn has_free_for(&self, job_type: &str) -> bool {
        let limit = self.handlers.get(job_type).and_then(|each| each.concurrency);
        let used = self.by_type.get(job_type).copied().unwrap_or(0);
        limit.is_none_or(|limit| used < limit)
    }

    pub(super) fn take(&mut self, ticket: Ticket, job_type: &str) {
        self.holders.insert(ticket, job_type.to_owned());
        *self.by_type.entry(job_type.to_owned()).or_default() += 1;
    }

    pub(super) fn free(&mut self, ticket: Ticket) {
        if let Some(job_type) = self.holders.remove(&ticket)
            && let Some(used) = self.by_type.get_mut(&job_type)
        {
            *used -= 1;
        }
    }
}
